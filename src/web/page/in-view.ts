import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** How far from the window something counts as in view, so that it is there when it is scrolled to. */
const NEAR = '200px';

/** Whether an element is in the window, or about to be: what nobody sees need not be kept up to date. */
export function useInView<T extends Element>(): {
  readonly place: RefObject<T>;
  readonly inView: boolean;
} {
  const place = useRef<T>(null);
  const [inView, set] = useState(false);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const observer = new IntersectionObserver(
      (entries) => set(entries.at(-1)?.isIntersecting === true),
      { rootMargin: NEAR },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { place, inView };
}
