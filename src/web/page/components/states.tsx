import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Asked } from '../ask.ts';

/** Names the view, on the page and in the browser's tab. */
export function Title({ children }: { readonly children: string }) {
  useEffect(() => {
    document.title = `${children} · evolayer`;
  }, [children]);
  return <h1>{children}</h1>;
}

export const Loading = ({ what }: { readonly what: string }) => (
  <p class="state" role="status">
    Loading {what} …
  </p>
);

/** What went wrong; where it is shown beside older data, that is still there. */
export const Failure = ({ message }: { readonly message: string }) => (
  <p class="state failure" role="alert">
    {message}
  </p>
);

/** Nothing to show, and what to do about it. */
export const Empty = ({ children }: { readonly children: ComponentChildren }) => (
  <div class="state empty">{children}</div>
);

/** What was asked, once it is there. */
export function Answer<T>({
  asked,
  what,
  children,
}: {
  readonly asked: Asked<T>;
  readonly what: string;
  readonly children: (data: T) => ComponentChildren;
}) {
  const { data, error, waiting } = asked;
  return (
    <>
      {error !== null && <Failure message={error} />}
      {data !== null && <div class={waiting ? 'stale' : undefined}>{children(data)}</div>}
      {data === null && error === null && <Loading what={what} />}
    </>
  );
}

export const Section = ({
  title,
  note,
  children,
}: {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly children: ComponentChildren;
}) => (
  <section>
    <h2>{title}</h2>
    {note !== undefined && <p class="note">{note}</p>}
    {children}
  </section>
);
