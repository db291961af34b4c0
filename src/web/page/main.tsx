import { render } from 'preact';
import { App } from './app.tsx';
import './style.css';
import { applyTheme, storedTheme } from './theme.ts';

applyTheme(storedTheme());
const root = document.getElementById('app');
if (root) render(<App />, root);
