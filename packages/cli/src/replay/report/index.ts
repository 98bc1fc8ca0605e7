export { describeMachine, type Machine } from './machine.ts';
export { summarise } from './summarise.ts';
export { formatSummary } from './table.ts';
export { renderPage } from './page/page.ts';
