import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, Loading } from './components/states.tsx';

/** A view whose code is loaded when it is first looked at. */
export function later(load: () => Promise<ComponentType>): ComponentType {
  let loaded: ComponentType | null = null;
  return () => {
    const [View, show] = useState<ComponentType | null>(() => loaded);
    const [failed, fail] = useState(false);
    useEffect(() => {
      if (View) return;
      load().then(
        (view) => {
          loaded = view;
          show(() => view);
        },
        () => fail(true),
      );
    }, [View]);
    if (failed)
      return (
        <Failure message="This part of the page could not be loaded. Is the dashboard still running? Reload to try again." />
      );
    return View ? <View /> : <Loading what="the page" />;
  };
}
