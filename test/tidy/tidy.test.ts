import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { bannedWords, engineFolders } from './layout.ts'
import { tidy } from './rules.ts'
import { readTree } from './tree.ts'

/** Offences as `rule path:line`, of files that do not exist. Files that nothing imports are looked at where that is the question. */
const offences = (files: Record<string, string>, { dead = false } = {}): string[] =>
  tidy(Object.entries(files).map(([path, text]) => ({ path, text })))
    .filter(({ rule }) => dead || rule !== 'dead-file')
    .map(({ rule, path, line }) => `${rule} ${path}:${line}`)

const rulesBroken = (path: string, text: string): string[] => [
  ...new Set(offences({ [path]: text }).map((offence) => offence.split(' ')[0] ?? '')),
]

const manifest = (name: string, exports: Record<string, string> = { '.': './src/index.ts' }) =>
  JSON.stringify({
    name,
    exports: Object.fromEntries(Object.entries(exports).map(([path, file]) => [path, { 'weft-source': file }])),
  })

test('the tree is tidy', () => {
  const sources = readTree()
  expect(sources.map(({ path }) => path)).toContain('test/tidy/tidy.test.ts')
  expect(tidy(sources).map(({ rule, path, line, text }) => `${path}:${line} ${rule}: ${text}`)).toEqual([])
})

describe('engine folders', () => {
  const engine = 'packages/engine/src'
  const file = (folder: string) => `${engine}/${folder}/part.ts`

  test('every import to the right is an offence, every one to the left is none', () => {
    for (const [left, from] of engineFolders.entries()) {
      for (const [right, to] of engineFolders.entries()) {
        if (left === right) continue
        const found = offences({
          [file(from)]: `\nimport type { Part } from '../${to}/part.ts'`,
          [file(to)]: 'export type Part = 1',
        })
        expect(found, `${from} -> ${to}`).toEqual(right > left ? [`engine-folders ${file(from)}:2`] : [])
      }
    }
  })

  test.each([
    ['a re-export', "export { part } from '../merge/part.ts'"],
    ['a dynamic import', "const part = import('../merge/part.ts')"],
    ['an import type', "type Part = import('../merge/part.ts').Part"],
    ['an import for its effects', "import '../merge/part.ts'"],
  ])('%s to the right counts', (_, text) => {
    expect(offences({ [file('graph')]: text, [file('merge')]: 'export const part = 1' })).toEqual([
      `engine-folders ${file('graph')}:1`,
    ])
  })

  test('only index.ts stands at the top, it imports all folders, and no folder imports it', () => {
    const found = offences({
      [`${engine}/index.ts`]: "export { part } from './replica/part.ts'",
      [`${engine}/other.ts`]: '',
      [`${engine}/drawer/part.ts`]: '',
      [file('replica')]: 'export const part = 1',
      [file('bytes')]: "import '../index.ts'",
    })
    expect(found).toEqual([
      `engine-folders ${engine}/other.ts:1`,
      `engine-folders ${engine}/drawer/part.ts:1`,
      `engine-folders ${file('bytes')}:1`,
    ])
  })

  test('words in comments and strings are no imports', () => {
    const text = "// import '../merge/part.ts'\nexport const text = \"import '../merge/part.ts'\""
    expect(offences({ [file('bytes')]: text, [file('merge')]: '' })).toEqual([])
  })
})

describe('package order', () => {
  const folders: Record<string, string> = {
    engine: 'packages/engine',
    storage: 'packages/storage',
    svelte: 'packages/svelte',
    server: 'packages/server',
    weft: 'packages/weft',
    demo: 'demo',
    'signal-server': 'signal-server',
    test: 'test',
  }
  const world = (from: string, specifier: string) => ({
    ...Object.fromEntries(
      Object.entries(folders).map(([name, folder]) => [`${folder}/package.json`, manifest(`@weft-db/${name}`)]),
    ),
    [`${folders[from]}/src/sync/part.ts`]: `import '${specifier}'`,
  })

  test.each([
    ['engine', '@weft-db/storage'],
    ['engine', '@weft-db/test'],
    ['storage', '@weft-db/server'],
    ['svelte', '@weft-db/storage/node'],
    ['server', '@weft-db/svelte'],
    ['server', '@weft-db/demo'],
    ['weft', '@weft-db/demo'],
    ['demo', '@weft-db/test'],
    ['signal-server', '@weft-db/test'],
    ['storage', '../../../server/src/index.ts'],
  ])('%s may not import %s', (from, specifier) => {
    const found = offences({ ...world(from, specifier), 'packages/server/src/index.ts': '' })
    expect(found).toEqual([`package-order ${folders[from]}/src/sync/part.ts:1`])
  })

  test.each([
    ['storage', '@weft-db/engine'],
    ['server', '@weft-db/storage/node'],
    ['weft', '@weft-db/server'],
    ['demo', '@weft-db/weft/svelte'],
    ['signal-server', '@weft-db/demo/shared'],
    ['test', '@weft-db/demo'],
    ['storage', '@weft-db/storage'],
    ['engine', '@weft-db-other/storage'],
  ])('%s may import %s', (from, specifier) => {
    expect(offences(world(from, specifier))).toEqual([])
  })

  test('another package is imported by its name, but test/ reaches inside', () => {
    const inside = { 'packages/engine/src/bytes/part.ts': 'export const part = 1' }
    const file = (from: string, path: string) =>
      offences({ ...world(from, `${path}/engine/src/bytes/part.ts`), ...inside })
    expect(file('storage', '../../..')).toEqual(['package-order packages/storage/src/sync/part.ts:1'])
    expect(file('test', '../../../packages')).toEqual([])
  })
})

describe('import cycles', () => {
  test('two files, three files across packages, and types alone', () => {
    const found = offences({
      'packages/a/package.json': manifest('a'),
      'packages/b/package.json': manifest('b', { './deep': './src/deep.ts' }),
      'test/x.ts': "import './y.ts'",
      'test/y.ts': "\nimport type { X } from './x.ts'",
      'test/p.ts': "import 'a'",
      'packages/a/src/index.ts': "import 'b/deep'",
      'packages/b/src/deep.ts': "import '../../../test/p.ts'",
    })
    expect(found.filter((offence) => offence.startsWith('import-cycle'))).toHaveLength(2)
    expect(found).toContain('import-cycle test/x.ts:1')
  })

  test('all files of a cycle are named, and no others', () => {
    const next = { a: 'b', b: 'c', c: 'd', d: 'b', e: 'a' }
    const sources = Object.entries(next).map(([from, to]) => ({ path: `test/${from}.ts`, text: `import './${to}.ts'` }))
    expect(tidy(sources).flatMap(({ rule, text }) => (rule === 'import-cycle' ? [text] : []))).toEqual([
      'test/b.ts <-> test/c.ts <-> test/d.ts',
    ])
  })

  test('a file that imports itself', () => {
    expect(offences({ 'test/x.ts': "import './x.ts'" })).toEqual(['import-cycle test/x.ts:1'])
  })

  test('a diamond is none', () => {
    const files = { 'test/a.ts': "import './b.ts'\nimport './c.ts'", 'test/b.ts': "import './d.ts'" }
    expect(offences({ ...files, 'test/c.ts': "import './d.ts'", 'test/d.ts': '' })).toEqual([])
  })
})

describe('dead files', () => {
  const dead = (files: Record<string, string>) => offences(files, { dead: true })

  test('what nothing reaches, what only its own unit test reaches, and what only the dead reach', () => {
    const found = dead({
      'packages/a/package.json': manifest('a'),
      'packages/a/src/index.ts': "import './alive.ts'",
      'packages/a/src/alive.ts': '',
      'packages/a/src/forgotten.ts': "import './below.ts'",
      'packages/a/src/below.ts': '',
      'packages/a/src/tested.ts': '',
      'packages/a/src/tested.test.ts': "import './tested.ts'",
    })
    expect(found).toEqual(['forgotten', 'below', 'tested'].map((name) => `dead-file packages/a/src/${name}.ts:1`))
  })

  test('named by a script, a page, a worker URL or a test under test/ is alive', () => {
    const found = dead({
      'package.json': '{"scripts":{"sim":"node test/sim/main.ts"}}',
      '.ci/build.mjs': "build('signal-server/src/main.ts')",
      'demo/index.html': '<script type="module" src="/src/main.ts"></script>',
      'demo/src/main.ts': "new Worker(new URL('./worker.ts', import.meta.url))\nimport './App.svelte'",
      'demo/src/worker.ts': '',
      'demo/src/App.svelte': "<script>\nimport './card.ts'\n</script>",
      'demo/src/card.ts': '',
      'signal-server/src/main.ts': '',
      'test/sim/main.ts': '',
      'test/contracts/files.test.ts': "import './files.ts'",
      'test/contracts/files.ts': '',
    })
    expect(found).toEqual(['dead-file .ci/build.mjs:1'])
  })
})

describe('the engine is pure', () => {
  const pure = 'packages/engine/src/merge/part.ts'
  const replica = 'packages/engine/src/replica/part.ts'

  test.each([
    'Date.now()',
    'const now = Date.now',
    'new Date()',
    'Date()',
    'Math.random()',
    'performance.now()',
    'setTimeout(() => 1, 2)',
    'setInterval(() => 1, 2)',
    'setImmediate(() => 1)',
    'queueMicrotask(() => 1)',
    'process.env',
    'crypto.subtle',
    "fetch('x')",
    'globalThis.setTimeout',
    "'a'.localeCompare('b')",
    'new Intl.Collator()',
    "'a'.toLocaleUpperCase()",
    'new Date(1).toLocaleDateString()',
    'new WeakRef({})',
    'new FinalizationRegistry(() => 1)',
  ])('%s', (text) => {
    expect(rulesBroken(pure, text)).toEqual(['impure-engine'])
    expect(rulesBroken(replica, text)).toEqual(['impure-engine'])
    const isWeak = text.includes('WeakRef')
    expect(rulesBroken('packages/engine/src/replica/weakvalues.ts', text)).toEqual(isWeak ? [] : ['impure-engine'])
    expect(rulesBroken('packages/runtime/src/part.ts', text)).toEqual([])
    expect(rulesBroken('packages/engine/src/merge/part.test.ts', text)).toEqual(
      /^set(Timeout|Interval)|globalThis/.test(text) ? ['test-waits'] : [],
    )
  })

  test.each([
    'new Date(0)',
    'Math.max(1, 2)',
    'runtime.now()',
    'runtime.crypto.subtle',
    'const times = { performance: 1, process: 2 }',
    'function step(process: Process) { return process.state }',
    'interface Timer { setTimeout(): void }',
    '// Date.now() and Math.random() are forbidden here',
    "const text = 'Date.now()'",
    "'A'.toLowerCase()",
  ])('not %s', (text) => {
    expect(rulesBroken(pure, text)).toEqual([])
  })

  test('sort() without a comparator', () => {
    expect(rulesBroken(pure, '[2, 1].sort()')).toEqual(['sort-without-comparator'])
    expect(rulesBroken(pure, '[2, 1].toSorted()')).toEqual(['sort-without-comparator'])
    expect(rulesBroken(pure, '[2, 1].sort((a, b) => a - b)')).toEqual([])
  })

  test.each([
    'export const step = async () => 1',
    'async function step() { return 1 }',
    'for await (const part of parts) part()',
    'await step()',
    'type Later = Promise<number>',
    'Promise.resolve(1)',
  ])('%s waits, which only replica may', (text) => {
    expect(rulesBroken(pure, text)).toEqual(['promise-outside-replica'])
    expect(rulesBroken(replica, text)).toEqual([])
  })

  test('a word in a comment, a key or a name of its own does not wait', () => {
    expect(rulesBroken(pure, '// async, await, Promise\nconst x = { async: 1, await: 2, Promise: 3 }')).toEqual([])
    expect(rulesBroken(pure, "import { Promise } from './vows.ts'\nPromise.kept")).toEqual([])
  })

  test('its compiler knows no timer, no DOM and no Node', () => {
    const path = (name: string) => fileURLToPath(new URL(`../../packages/engine/${name}`, import.meta.url))
    const names = [
      'setTimeout',
      'queueMicrotask',
      'console',
      'process',
      'Buffer',
      'window',
      'fetch',
      'crypto',
      'performance',
    ]
    const settings = ts.getParsedCommandLineOfConfigFile(
      path('tsconfig.json'),
      {},
      {
        ...ts.sys,
        onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
          throw new Error(String(messageText))
        },
      },
    )
    const host = ts.createCompilerHost(settings?.options ?? {})
    const probe = path('src/bytes/probe.ts')
    const read = host.getSourceFile.bind(host)
    host.getSourceFile = (file, ...rest) =>
      file === probe
        ? ts.createSourceFile(file, `${names.join('\n')}\nMap\nexport {}`, ts.ScriptTarget.ES2023)
        : read(file, ...rest)
    const program = ts.createProgram([...(settings?.fileNames ?? []), probe], settings?.options ?? {}, host)
    const unknown = program
      .getSemanticDiagnostics(program.getSourceFile(probe))
      .map(
        ({ messageText }) => /^Cannot find name '(\w+)'/.exec(ts.flattenDiagnosticMessageText(messageText, ' '))?.[1],
      )
    expect(unknown).toEqual(names)
  })
})

describe('banned words', () => {
  test.each(bannedWords)('%s in file, folder and exported names', (word) => {
    const capital = word[0]?.toUpperCase() + word.slice(1)
    expect(offences({ [`demo/src/${word}.ts`]: '' })).toEqual([`banned-word demo/src/${word}.ts:1`])
    expect(offences({ [`docs/card-${word}.md`]: '' })).toEqual([`banned-word docs/card-${word}.md:1`])
    expect(offences({ [`demo/${word}/card.ts`]: '', [`demo/${word}/list.ts`]: '' })).toEqual([
      `banned-word demo/${word}:1`,
    ])
    expect(offences({ [`demo/src/Card${capital}.svelte`]: '' })).toEqual([
      `banned-word demo/src/Card${capital}.svelte:1`,
    ])
    for (const text of [
      `export const card${capital} = 1`,
      `export function ${word}Of() {}`,
      `export class ${capital} {}`,
      `export interface ${capital}Card { a: 1 }`,
      `export type URL${capital} = 1`,
      `export const MAX_${word.toUpperCase()} = 1`,
      `export const { a: ${word}, b } = card`,
      `const a = 1\nexport { a as ${word} }`,
      `export { ${word} } from 'elsewhere'`,
      `export * as ${word} from 'elsewhere'`,
    ]) {
      expect(rulesBroken('demo/src/card.ts', text), text).toEqual(['banned-word'])
    }
  })

  test.each([
    'export const database = 1',
    'export const mergeBase = 1',
    'export type MergeBases = 1',
    'export const dataChannel = 1',
    'export const recording = 1',
    "export { card } from 'data'",
    'const data = document.body',
    'export const serve = (data: string) => data',
    'export { data as card }',
  ])('not in %s', (text) => {
    expect(rulesBroken('demo/src/merge-base.ts', text)).toEqual([])
  })

  test('half of an allowed phrase is not allowed', () => {
    expect(rulesBroken('demo/src/card.ts', 'export const baseMerge = 1')).toEqual(['banned-word'])
  })
})

describe('tests never sleep', () => {
  const places = ['packages/server/src/part.test.ts', 'test/sim/world.ts', 'demo/src/part.test.ts']

  test.each([
    'setTimeout(() => 1, 2)',
    'setInterval(() => 1, 2)',
    'globalThis.setTimeout(() => 1, 2)',
    'window.setInterval(() => 1, 2)',
    'const sleep = promisify(setTimeout)',
    'await page.evaluate(() => new Promise((done) => setTimeout(done, 5)))',
    "import { setTimeout } from 'node:timers/promises'",
    "import timers from 'timers/promises'",
    "const timers = await import('node:timers')",
    'await page.waitForTimeout(5)',
    'Atomics.wait(cells, 0, 0, 5)',
    'Atomics.waitAsync(cells, 0, 0, 5)',
  ])('%s', (text) => {
    for (const place of places) expect(rulesBroken(place, text)).toEqual(['test-waits'])
    expect(rulesBroken('packages/server/src/part.ts', text)).toEqual([])
  })

  test.each([
    'world.timer(5, () => 1)',
    'world.setTimeout(5)',
    'const clock = { setTimeout(ms: number) { return ms } }',
    '// setTimeout is not used',
    'await page.waitForFunction(() => true)',
    'Atomics.load(cells, 0)',
  ])('not %s', (text) => {
    for (const place of places) expect(rulesBroken(place, text)).toEqual([])
  })

  test.each([
    'it.only',
    'test.skip',
    'describe.todo',
    'test.concurrent.only',
    'it.each([1]).only',
    'describe.skip.each([1])',
  ])('%s leaves tests out', (call) => {
    expect(rulesBroken('demo/src/part.test.ts', `${call}('x', () => 1)`)).toEqual(['test-left-out'])
  })

  test('options that leave tests out, and calls that only look like it', () => {
    expect(rulesBroken('test/x.test.ts', "test('x', { skip: true }, () => 1)")).toEqual(['test-left-out'])
    expect(rulesBroken('test/x.test.ts', "test('x', (context) => context.skip())")).toEqual(['test-left-out'])
    expect(rulesBroken('test/x.test.ts', 'reader.skip(4)\nfilter.only(1)\nread({ skip: 1 })')).toEqual([])
    expect(rulesBroken('test/x.test.ts', "test('x', { timeout: 5 }, () => read({ skip: 1 }))")).toEqual([])
  })
})

describe('the type checker is believed', () => {
  const place = 'packages/server/src/part.ts'

  test.each([
    ['any', 'const x: any = 1'],
    ['any', 'const x = <any>y'],
    ['any', 'type Rows = Array<any>'],
    ['double-cast', 'const x = y as unknown as number'],
    ['double-cast', 'const x = (y as unknown) as number'],
    ['silenced-checker', '// @ts-ignore\nconst x = 1'],
    ['silenced-checker', '// @ts-expect-error: wrong on purpose\nconst x = 1'],
    ['silenced-checker', '/* @ts-nocheck */\nconst x = 1'],
    ['empty-catch', 'try { go() } catch {}'],
    ['empty-catch', 'try { go() } catch (error) {\n}'],
    ['empty-catch', 'go().catch(() => {})'],
    ['unexplained-assertion', 'const x = y[0]!'],
    ['unexplained-assertion', 'class X {\n  y!: number\n}'],
    ['unexplained-assertion', '// Never empty.\n\nconst x = y[0]!'],
    ['unexplained-assertion', '// Never empty.\nconst x = y[0]!\nstep()\nconst z = x[0]!'],
  ])('%s: %s', (rule, text) => {
    expect(rulesBroken(place, text)).toEqual([rule])
    expect(rulesBroken('demo/src/Card.svelte', `<p>it's</p>\n<script lang="ts">\n\n${text}\n</script>`)).toEqual([rule])
  })

  test.each([
    'const any = 1\nconst x = { any }',
    'const x = y as unknown',
    'const x = y as number',
    'const x = "// @ts-ignore"',
    'try { go() } catch (error) { report(error) }',
    'try { go() } catch {\n  // absent: nothing to remove\n}',
    'go().catch(() => report())',
    'const x = y[0]! // never empty',
    '// Never empty.\nconst x = y[0]!',
    '// In range.\nconst x = y[0]!\nconst z = y[1]!\nreturn y[2]!',
    '/** In range. */\nconst x =\n  y[0]! +\n  y[1]!',
    'class X {\n  /** Set by open. */\n  y!: number\n}',
    'if (!x) step()',
  ])('%s is fine', (text) => {
    expect(rulesBroken(place, text)).toEqual([])
  })

  test('programs that must not compile live in test/types; tests may assert', () => {
    expect(rulesBroken('test/types/schema.ts', '// @ts-expect-error\nconst x = 1')).toEqual([])
    expect(rulesBroken('test/other/schema.ts', '// @ts-expect-error\nconst x = 1')).toEqual(['silenced-checker'])
    expect(rulesBroken('packages/server/src/part.test.ts', 'const x = y[0]!')).toEqual([])
  })

  test('a line in a Svelte file is the line in the file', () => {
    const text = '<p>a</p>\n<script module>\n</script>\n<script lang="ts">\n  let x: any\n</script>\n<p>any</p>'
    expect(offences({ 'demo/src/Card.svelte': text })).toEqual(['any demo/src/Card.svelte:5'])
  })
})

describe('no place of one machine', () => {
  // Written in pieces, so that this file names none of them either.
  const [work, home, scratch] = ['work', 'root', 'tmp'].map((name) => `/${name}`)

  test.each([
    `const x = '${work}/shared/x'`,
    `see ${home}/.npmrc`,
    `"file://${work}/x"`,
    `const x = \`${scratch}/\``,
    `cd ${scratch}`,
  ])('%s', (text) => {
    expect(rulesBroken('docs/guide.md', text)).toEqual(['machine-path'])
    expect(offences({ '.ci/run': `\n${text}` })).toEqual(['machine-path .ci/run:2'])
  })

  test.each([
    `import '..${work}/x'`,
    `docs${work}/x`,
    `a${home}/b`,
    `the ${scratch}fs mount`,
    `${work}ing/x`,
    `framework${scratch}`,
  ])('not %s', (text) => {
    expect(rulesBroken('docs/guide.md', text)).toEqual([])
  })

  test('tests may name the scratch folder', () => {
    for (const path of ['test/e2e/server.ts', 'demo/src/card.test.ts']) {
      expect(rulesBroken(path, `const x = '${scratch}/x'`)).toEqual([])
      expect(rulesBroken(path, `const x = '${work}/x'`)).toEqual(['machine-path'])
    }
  })

  test.each([
    `https://${['registry', 'npmjs', 'org'].join('.')}/x`,
    'registry=http://npm.registry.example/',
    '  resolution: {tarball: https://a.b/c.tgz}',
  ])('registry: %s', (text) => {
    expect(rulesBroken('pnpm-lock.yaml', text)).toEqual(['registry-host'])
  })

  test('a registry of something else, and a package page', () => {
    expect(rulesBroken('docs/guide.md', `the registry of schemas\nhttps://www.${'npm'}js.com/package/svelte`)).toEqual(
      [],
    )
  })
})

test('no long files', () => {
  const lines = (count: number) => 'x\n'.repeat(count)
  expect(offences({ 'docs/guide.md': lines(601) })).toEqual(['long-file docs/guide.md:601'])
  expect(offences({ 'docs/guide.md': lines(600), 'test/vectors/commits.json': lines(601) })).toEqual([])
})
