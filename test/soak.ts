/**
 * What takes hours, as whole runs of the tools: `npm run soak [-- --shard i/n]`. Shard i of n takes every n-th job, so that several machines
 * share the work. Prints each job's own output and how it ended; fails when one of them does.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { campaigns } from './attacks/catalogue.ts'

interface Job {
  readonly name: string
  readonly script: string
  readonly options: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('..', import.meta.url))

/** Seeds of one simulation job, so that no job is much longer than the others. */
const seedsPerJob = 500
const simulations = Array.from(
  { length: 8 },
  (_, index): Job => ({
    name: `simulation ${index + 1}`,
    script: 'test/sim/main.ts',
    options: ['--from', String(1 + index * seedsPerJob), '--seeds', String(seedsPerJob), '--no-mutants', '--json'],
  }),
)

/** The same with traitors. */
const intrigues = Array.from(
  { length: 4 },
  (_, index): Job => ({
    name: `traitors ${index + 1}`,
    script: 'test/sim/main.ts',
    options: ['--byzantine', '--from', String(index * 1_000), '--seeds', '1000', '--no-mutants', '--json'],
  }),
)

/** The traces of josephg/editing-traces, commit by commit, where they are laid beside the repository. */
const traces = ['automerge-paper', 'friendsforever'].flatMap((name): Job[] => {
  const file = `../shared/data/${name}.json.gz`
  if (!existsSync(new URL(file, `file://${root}`))) return []
  return [
    { name: `replay ${name}`, script: 'test/replay/main.ts', options: [file, '--transport', 'socketio', '--json'] },
  ]
})

/** The attack catalogue in full. */
const attacks = campaigns.map(
  (rows): Job => ({
    name: `attacks ${rows}`,
    script: 'test/attacks/main.ts',
    options: ['--rows', rows, '--full', '--json'],
  }),
)

/** Browser tests that wait for attempts to fail in their own time. */
const firewalls: Job = {
  name: 'e2e mesh',
  script: 'node_modules/vitest/vitest.mjs',
  options: ['run', '--project', 'browser', 'test/e2e/mesh-network.test.ts', 'test/e2e/mesh.test.ts'],
  environment: { WEFT_E2E_PATIENT: '1' },
}

/** Tabs of a browser that are opened, closed, frozen and killed at random. */
const tabs = [1, 51, 101, 151].map(
  (from): Job => ({
    name: `tabs from ${from}`,
    script: 'node_modules/vitest/vitest.mjs',
    options: ['run', '--project', 'browser', 'test/e2e/tabs-random.test.ts'],
    environment: { WEFT_E2E_TABS: '50', WEFT_E2E_TABS_FROM: String(from) },
  }),
)

/** Meshes of thousands, under churn and with a third of them gone at once. */
const meshes = [1_000, 10_000].map(
  (replicas): Job => ({
    name: `mesh of ${replicas}`,
    script: 'test/sim/main.ts',
    options: ['--mesh', '--replicas', String(replicas), '--json'],
  }),
)

/** Kills of a real server in four jobs, and what else befalls a store. */
const crashes = [
  ...[1, 2, 3, 4].map((job) => ({ name: `kills ${job}`, options: ['--only', 'kill9', '--kills', '500'] })),
  ...['everyByteCut', 'bitFlips', 'nthSyscall', 'wiped', 'browsers', 'restored'].map((part) => ({
    name: part,
    options: ['--only', part, '--full'],
  })),
].map(({ name, options }): Job => ({ name, script: 'test/crash/main.ts', options: [...options, '--json'] }))

const jobs: readonly Job[] = [
  ...attacks,
  ...meshes,
  { name: 'sync', script: 'test/sim/main.ts', options: ['--sync', '--seeds', '5000', '--json'] },
  ...traces,
  { name: 'mutants', script: 'test/sim/main.ts', options: ['--seeds', '20', '--mutants', '--json'] },
  { name: 'fuzz', script: 'test/fuzz/main.ts', options: ['--inputs', '1000000', '--poison', '100000', '--json'] },
  ...crashes,
  firewalls,
  ...tabs,
  { name: 'tab mutants', script: 'test/mutants/tabs.ts', options: [] },
  ...simulations,
  ...intrigues,
]

const run = (job: Job): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const flags = ['--import', 'tsx', '--conditions=weft-source', job.script, ...job.options]
    const env = { ...process.env, ...job.environment }
    const child = spawn(process.execPath, flags, { cwd: root, env, stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0))
  })

const { values } = parseArgs({ options: { shard: { type: 'string', default: '1/1' } } })
const [index = 1, count = 1] = values.shard.split('/').map(Number)
if (!(Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count)) {
  console.error('--shard takes i/n, for example 1/4')
  process.exit(2)
}
const mine = jobs.filter((_, place) => place % count === index - 1)
let failed = 0
for (const job of mine) {
  const began = performance.now()
  console.log(`# ${job.name}`)
  const passed = await run(job)
  if (!passed) failed++
  console.log(`# ${job.name}: ${passed ? 'ok' : 'FAILED'} in ${((performance.now() - began) / 1000).toFixed(1)} s`)
}
console.log(`${mine.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
