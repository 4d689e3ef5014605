/**
 * Mutants: copies of the engine in which one law is broken, to see whether the simulation, or the unit tests that a mutant names, notice.
 * A mutant is a unified diff against the root of the repository, with a head:
 *
 *     law: what no longer holds
 *     world: the simulated world that shows it (optional; else all in turn)
 *     from: the first seed to try (optional), by which `npm test` finds it soon
 *     tests: a path of tests to run instead of seeds (optional)
 *     project: which project they are of (optional; else unit)
 *     named: those of them that have this in their name (optional)
 *
 * Those of the folder `tabs` are shown by tests in a real browser, which takes a while: they are part of `npm run soak`.
 *
 * The workspace is copied with its dependencies linked, so that the copy imports its own engine and nothing of the tree is touched.
 */
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { applyPatch, readPatch } from './patch.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = fileURLToPath(new URL('./', import.meta.url))

export interface Kill {
  /** The law that broke; null for a mutant that lives. */
  readonly killedBy: string | null
  /** The seed that showed it, or the tests. */
  readonly seed: string | null
  /** Seeds up to there. */
  readonly tried: number
}

export interface JudgeOptions {
  /** Patches; all of this folder unless given. */
  readonly patches?: readonly string[]
  /** Seeds for each, at most. */
  readonly budget?: number
  readonly report?: (line: string) => void
}

/** The patches of this folder. */
export const mutantNames = (): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.patch'))
    .sort()
    .map((name) => basename(name, '.patch'))

const skipped = new Set(['node_modules', 'dist', '.git', '.cache', 'coverage'])

/** The patches of the folder `tabs`, as `judge` takes them. */
export const tabMutants = (): readonly string[] =>
  readdirSync(join(folder, 'tabs'))
    .sort()
    .map((name) => join(folder, 'tabs', name))

/** A copy of what the engine, the demo and their tests need. */
export const copyWorkspace = (to: string): void => {
  for (const file of ['package.json', 'tsconfig.json', 'vitest.config.ts', 'pnpm-workspace.yaml']) {
    if (existsSync(join(root, file))) cpSync(join(root, file), join(to, file))
  }
  const copied = ['packages', 'test', 'demo', 'signal-server', '.ci']
  for (const name of copied) {
    cpSync(join(root, name), join(to, name), {
      recursive: true,
      filter: (source) => !skipped.has(basename(source)),
    })
  }
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules'))
  const owners = [
    'test',
    'demo',
    'signal-server',
    ...readdirSync(join(root, 'packages')).map((name) => join('packages', name)),
  ]
  for (const owner of owners) linkDependencies(owner, to)
}

/** The dependencies of one package: other people's from the tree, ours from the copy. */
const linkDependencies = (owner: string, to: string): void => {
  const from = join(root, owner, 'node_modules')
  if (!existsSync(from)) return
  const target = join(to, owner, 'node_modules')
  mkdirSync(join(target, '@weft-db'), { recursive: true })
  for (const name of readdirSync(from)) {
    if (name.startsWith('.') || name === '@weft-db') continue
    symlinkSync(join(from, name), join(target, name))
  }
  const ours = join(from, '@weft-db')
  for (const name of existsSync(ours) ? readdirSync(ours) : []) {
    const place = join(to, relative(realpathSync(root), realpathSync(join(ours, name))))
    symlinkSync(existsSync(place) ? place : join(ours, name), join(target, '@weft-db', name))
  }
}

const run = (command: string, args: readonly string[], cwd: string): Promise<{ code: number | null; out: string }> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: '1' }
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
    })
    let error = ''
    child.stderr.on('data', (chunk: Buffer) => {
      error = (error + chunk.toString()).slice(-4_000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (out === '') reject(new Error(`${command} ${args.join(' ')} said nothing\n${error}`))
      else resolve({ code, out })
    })
  })

/** Applies a patch in a copy and looks whether anything notices. `name` is one of this folder, or the path of a patch elsewhere. */
export const judge = async (name: string, budget: number): Promise<Kill> => {
  const patch = readPatch(readFileSync(name.endsWith('.patch') ? name : join(folder, `${name}.patch`), 'utf8'))
  const copy = mkdtempSync(join(tmpdir(), 'weft-mutant-'))
  try {
    copyWorkspace(copy)
    for (const file of patch.files) {
      const path = join(copy, file.path)
      writeFileSync(path, applyPatch(readFileSync(path, 'utf8'), file))
    }
    const { tests, world, from, project = 'unit', named } = patch.head
    if (tests !== undefined) {
      const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', project, '--bail', '1']
      const which = named === undefined ? [] : ['--testNamePattern', named]
      const { code, out } = await run(process.execPath, [...vitest, ...which, ...tests.split(' ')], copy)
      const failed = /(?:FAIL|×)\s+(.*)/.exec(out)?.[1] ?? null
      return { killedBy: code === 0 ? null : `${failed ?? 'the tests'}`, seed: tests, tried: 0 }
    }
    const first = from ?? '0'
    const sim = ['--import', 'tsx', '--conditions=weft-source', 'test/sim/main.ts', '--json', '--no-mutants', '--first']
    const seeds = ['--from', first, '--seeds', String(budget), ...(world === undefined ? [] : ['--world', world])]
    const { out } = await run(process.execPath, [...sim, ...seeds], copy)
    const result = JSON.parse(out) as { seeds: number; failed: { seed: string; world: string; what: string }[] }
    const [found] = result.failed
    return {
      killedBy: found?.what ?? null,
      seed: found === undefined ? null : `${found.world} ${found.seed}`,
      tried: result.seeds,
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** Judges mutants, two at a time. */
export const judgeMutants = async (options: JudgeOptions = {}): Promise<Record<string, Kill>> => {
  const waiting = [...(options.patches ?? mutantNames())]
  const kills: Record<string, Kill> = {}
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const kill = await judge(name, options.budget ?? 500)
      kills[name] = kill
      options.report?.(
        `${name}: ${kill.killedBy === null ? 'LIVES' : `killed by ${kill.killedBy}`} (${kill.seed}, ${kill.tried} tried)`,
      )
    }
  }
  await Promise.all([work(), work()])
  return Object.fromEntries(Object.entries(kills).sort(([a], [b]) => (a < b ? -1 : 1)))
}
