/** Import rules: see ARCHITECTURE.md. */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'contract-imports-zod-only',
      severity: 'error',
      from: { path: '^sdk/contract' },
      to: { pathNot: ['^sdk/contract', 'node_modules/zod'] },
    },
    {
      // What users import and run is not tied to the machine that the platform runs on.
      name: 'sdk-imports-sdk-only',
      severity: 'error',
      from: { path: '^sdk' },
      to: { path: '^(services|runtime|loadtest|scripts)' },
    },
    {
      name: 'client-runs-in-browsers',
      severity: 'error',
      from: { path: '^sdk/[^/]+\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'gateway-never-imports-runtime',
      severity: 'error',
      from: { path: '^services/(gateway|registry|queue|shared|tenants)' },
      to: { path: '^runtime' },
    },
    {
      name: 'runtime-never-imports-services',
      severity: 'error',
      from: { path: '^runtime' },
      to: { path: '^services' },
    },
    { name: 'only-tests-import-tests', severity: 'error', from: { pathNot: '^test' }, to: { path: '^test' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^sdk/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
