import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from '@tanstack/virtual-core';
import { useEffect, useState } from 'preact/hooks';

/** Which of many lines of one height are to be drawn. `element` scrolls. */
export function useWindow(element: HTMLElement | null, count: number, height: number) {
  const [, draw] = useState(0);
  const [virtualizer] = useState(
    () =>
      new Virtualizer<HTMLElement, HTMLElement>({
        ...{ count, estimateSize: () => height, overscan: 10, getScrollElement: () => element },
        ...{ observeElementRect, observeElementOffset, scrollToFn: elementScroll },
      }),
  );
  virtualizer.setOptions({
    ...virtualizer.options,
    ...{ count, estimateSize: () => height, getScrollElement: () => element },
    onChange: () => draw((n) => n + 1),
  });
  useEffect(() => virtualizer._didMount(), [virtualizer]);
  useEffect(() => {
    virtualizer._willUpdate();
    virtualizer.measure();
  }, [virtualizer, element, count]);
  return { items: virtualizer.getVirtualItems(), total: virtualizer.getTotalSize() };
}
