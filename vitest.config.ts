import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

/** One project a stage of `npm test`. Our own packages are taken from their sources, as everywhere but in a published package. */
const project = (name: string, include: string[], test: object = {}): TestProjectInlineConfiguration => ({
  resolve: { conditions: ['weft-source', 'module', 'browser', 'development|production'] },
  ssr: { resolve: { conditions: ['weft-source', 'module', 'node', 'development|production'] } },
  test: { name, include, environment: 'node', ...test },
})

export default defineConfig({
  test: {
    projects: [
      project('tidy', ['test/tidy/**/*.test.ts'], { testTimeout: 30_000 }),
      project(
        'unit',
        [
          'packages/**/src/**/*.test.ts',
          'signal-server/**/*.test.ts',
          'demo/src/**/*.test.ts',
          'test/{attacks,contracts,vectors,docs,replay,road,fuzz,sync,bench,second-client}/**/*.test.ts',
        ],
        { testTimeout: 30_000 },
      ),
      project('simulation', ['test/{sim,mutants,crash}/**/*.test.ts'], { testTimeout: 120_000 }),
      project('browser', ['test/e2e/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 60_000,
        hookTimeout: 60_000,
      }),
    ],
  },
})
