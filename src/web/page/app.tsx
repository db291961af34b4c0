import { useEffect, useState } from 'preact/hooks';
import { Link, Route, Switch, useLocation } from 'wouter-preact';
import { later } from './later.tsx';
import { useHeard } from './live.ts';
import { applyTheme, storedTheme, THEMES } from './theme.ts';
import { RunsView } from './views/runs.tsx';

const RunView = later(async () => (await import('./views/run.tsx')).RunView);
const RejectionsView = later(async () => (await import('./views/rejections.tsx')).RejectionsView);
const LeaderboardView = later(
  async () => (await import('./views/leaderboard.tsx')).LeaderboardView,
);
const LayerView = later(async () => (await import('./views/layer.tsx')).LayerView);
const CompareView = later(async () => (await import('./views/compare.tsx')).CompareView);

export const App = () => (
  <>
    <a class="skip" href="#main">
      Skip to the content
    </a>
    <Head />
    <main id="main" tabIndex={-1}>
      <Switch>
        <Route path="/">
          <RunsView />
        </Route>
        <Route path="/runs/:run">
          <RunView />
        </Route>
        <Route path="/runs/:run/rejections">
          <RejectionsView />
        </Route>
        <Route path="/leaderboard">
          <LeaderboardView />
        </Route>
        <Route path="/layer">
          <LayerView />
        </Route>
        <Route path="/compare">
          <CompareView />
        </Route>
        <Route>
          <h1>There is nothing here</h1>
          <p>
            <Link href="/">The runs</Link> are the place to start from.
          </p>
        </Route>
      </Switch>
    </main>
  </>
);

const PLACES = [
  { href: '/', label: 'Runs' },
  { href: '/leaderboard', label: 'Leaderboard' },
  { href: '/compare', label: 'Compare' },
] as const;

function Head() {
  const [path] = useLocation();
  useFreshFocus(path);
  return (
    <header class="head">
      <Link href="/" class="brand">
        evolayer
      </Link>
      <nav aria-label="Views">
        {PLACES.map(({ href, label }) => (
          <Link key={href} href={href} aria-current={path === href ? 'page' : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <LinkState />
      <ThemeChoice />
    </header>
  );
}

/** A new view begins at its top, for those who read with the keyboard too; not where the page was just opened. */
function useFreshFocus(path: string): void {
  const [first] = useState(path);
  const [moved, move] = useState(false);
  useEffect(() => {
    if (!moved && path === first) return;
    move(true);
    document.getElementById('main')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path, first, moved]);
}

function LinkState() {
  const { link, trouble, open } = useHeard();
  const running = open.filter((run) => run.running).length;
  const said = {
    live: running > 0 ? `live: ${running} running` : 'live',
    lost: 'The dashboard does not answer; is it still running? This page tries again.',
    trouble: trouble ?? 'The database cannot be read.',
  }[link];
  return (
    <p class={`link-state ${link}`} role="status">
      {said}
    </p>
  );
}

function ThemeChoice() {
  const [theme, set] = useState(storedTheme);
  return (
    <label class="theme">
      Colours{' '}
      <select
        value={theme}
        onChange={({ currentTarget }) => {
          const chosen = THEMES.find((one) => one === currentTarget.value) ?? 'system';
          applyTheme(chosen);
          set(chosen);
        }}
      >
        {THEMES.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  );
}
