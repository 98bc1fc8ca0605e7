// The borders of the house (docs/decisions, ARCHITECTURE.md). tools/test/borders.test.ts shows that each rule fires.
const stages = 'prejudge|input|response-cache|admission|deliberation|router|output|ingress|engines|observability|config';
const our = (names) => `^(packages|apps)/(${names})/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'protocol-imports-nothing',
      severity: 'error',
      from: { path: '^packages/protocol/src/', pathNot: '^packages/protocol/src/contract/' },
      to: { pathNot: '^packages/protocol/src/(?!contract/)' },
    },
    {
      name: 'engine-imports-only-protocol',
      severity: 'error',
      from: { path: '^packages/engine/src/' },
      to: { path: our('gateway|cli|client|console|car-service'), pathNot: '^packages/protocol/' },
    },
    {
      name: 'client-imports-only-protocol',
      severity: 'error',
      from: { path: '^packages/client/src/' },
      to: { path: our('engine|gateway|cli|console|car-service') },
    },
    { name: 'apps-import-only-client', severity: 'error', from: { path: '^apps/[^/]+/src/' }, to: { path: '^packages/(?!client/)' } },
    { name: 'nobody-imports-the-cli', severity: 'error', from: { pathNot: '^packages/cli/' }, to: { path: '^packages/cli/' } },
    {
      name: 'stages-do-not-know-each-other',
      severity: 'error',
      from: { path: `^packages/gateway/src/(${stages})/` },
      to: { path: `^packages/gateway/src/(${stages})/`, pathNot: '^packages/gateway/src/$1/' },
    },
    {
      name: 'only-the-path-and-main-know-the-stages',
      severity: 'error',
      from: { path: '^packages/gateway/src/common/' },
      to: { path: `^packages/gateway/src/(${stages})/` },
    },
    {
      name: 'only-the-adapter-knows-the-engine',
      severity: 'error',
      from: { path: '^packages/gateway/src/', pathNot: '^packages/gateway/src/engines/embedded/' },
      to: { path: '^packages/engine/' },
    },
    { name: 'no-tests-in-programs', severity: 'error', from: { path: '^packages/[^/]+/src/' }, to: { path: '/test/' } },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
