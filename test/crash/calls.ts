/**
 * A server whose n-th call to the file system fails, for every n and every way to fail: it says so, loses nothing that it acknowledged,
 * and goes on; or it refuses to start, with the reason, and starts the next time. The calls are Node's own, made to fail under the store.
 */
import fs from 'node:fs'
import promises, { mkdtemp, readFile, rm } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Incident, isRefusal, logName, readCommit, WeftError } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { type Server, serve } from '@weft-db/server'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import { Stream } from '../sim/random.ts'
import { Card, path } from './board.ts'
import { Client, Tally } from './load.ts'
import { freePort } from './process.ts'

type Failure = 'ENOSPC' | 'EFBIG' | 'EIO' | 'EMFILE' | 'short'

/** What a call may fail with, open(2) and its kin; `short`: it writes half of what it was given. */
const writing: readonly Failure[] = ['ENOSPC', 'EFBIG', 'EIO', 'short']
const naming: readonly Failure[] = ['ENOSPC', 'EIO']
const opening: readonly Failure[] = ['ENOSPC', 'EIO', 'EMFILE']
const failuresOf = {
  open: opening,
  readdir: ['EIO', 'EMFILE'],
  mkdir: naming,
  link: naming,
  rename: naming,
  unlink: ['EIO'],
  writeSync: writing,
  write: writing,
  read: ['EIO'],
  stat: ['EIO'],
  truncate: ['EIO'],
  sync: ['EIO', 'ENOSPC'],
  datasync: ['EIO', 'ENOSPC'],
} as const satisfies Record<string, readonly Failure[]>
type Call = keyof typeof failuresOf

/** Calls whose failure nobody can make good without anybody's knowing. */
const storing: ReadonlySet<Call | undefined> = new Set<Call>(['writeSync', 'write', 'sync', 'datasync'])

const ofModule = ['open', 'readdir', 'mkdir', 'link', 'rename', 'unlink'] as const
const ofHandle = ['write', 'read', 'stat', 'truncate', 'sync', 'datasync'] as const

/** Which call is to fail, and how; what was called so far. */
interface Plan {
  readonly at: number
  readonly failure: Failure
  readonly calls: Call[]
  isDone: boolean
}

type Callable = (this: unknown, ...args: unknown[]) => unknown

/** Runs `use` while the plan's call fails. One at a time. */
const underPlan = async <Result>(plan: Plan, use: () => Promise<Result>): Promise<Result> => {
  const undo: (() => void)[] = []
  const failing = (call: Call, original: Callable, isSync: boolean): Callable =>
    function (this: unknown, ...args) {
      const place = plan.calls.push(call) - 1
      const mayFail: readonly Failure[] = failuresOf[call]
      if (plan.isDone || place !== plan.at || !mayFail.includes(plan.failure)) return original.apply(this, args)
      plan.isDone = true
      if (plan.failure === 'short') {
        // write(fd, bytes, offset, length, position) and handle.write(bytes, offset, length, position)
        const length = isSync ? 3 : 2
        return original.apply(
          this,
          args.map((arg, index) => (index === length ? Math.max(1, Number(arg) >> 1) : arg)),
        )
      }
      const error = Object.assign(new Error(`${plan.failure}: made to fail, ${call}`), { code: plan.failure })
      if (isSync) throw error
      return Promise.reject(error)
    }
  const patch = (owner: object, call: Call, isSync = false): void => {
    const original = Reflect.get(owner, call) as Callable
    Reflect.set(owner, call, failing(call, original, isSync))
    undo.push(() => Reflect.set(owner, call, original))
  }
  const folder = await mkdtemp(join(tmpdir(), 'weft-handle-'))
  const handle = await promises.open(join(folder, 'any'), 'w')
  const prototype: object = Object.getPrototypeOf(handle)
  await handle.close()
  await rm(folder, { recursive: true })
  for (const call of ofModule) patch(promises, call)
  for (const call of ofHandle) patch(prototype, call)
  patch(fs, 'writeSync', true)
  syncBuiltinESMExports()
  try {
    return await use()
  } finally {
    for (const put of undo) put()
    syncBuiltinESMExports()
  }
}

export interface Calls {
  readonly cases: number
  readonly wrong: number
  readonly first: string | undefined
}

const runtime = nodeRuntime()

/** Fails every `step`-th of all pairs of a call and a failure. */
export const failEverywhere = async (seed: string, step: number): Promise<Calls> => {
  const rehearsal: Plan = { at: -1, failure: 'EIO', calls: [], isDone: true }
  const early = await serveThrough(rehearsal, seed)
  let [cases, wrong] = [0, early === undefined ? 0 : 1]
  let first = early
  const pairs = rehearsal.calls.flatMap((call, at) => failuresOf[call].map((failure) => ({ call, at, failure })))
  for (let index = 0; index < pairs.length; index += step) {
    const pair = pairs[index]
    if (pair === undefined) continue
    const plan: Plan = { ...pair, calls: [], isDone: false }
    const why = await serveThrough(plan, seed).catch((error: unknown) => String(error))
    // Calls come in another order now and then, and one that cannot fail so may stand there.
    if (plan.isDone) cases++
    if (why === undefined) continue
    wrong++
    first ??= `call ${pair.at} (${pair.call}), ${pair.failure}: ${why}`
  }
  return { cases, wrong, first }
}

/** Acknowledgements that a server is to give while its calls are counted. */
const enough = 8

/** What was wrong about a server that ran through the plan. */
const serveThrough = async (plan: Plan, seed: string): Promise<string | undefined> => {
  const random = new Stream(seed, 'calls')
  const folder = await mkdtemp(join(tmpdir(), 'weft-calls-'))
  const data = join(folder, 'store')
  const ledger = new Set<string>()
  const tally = new Tally()
  const port = await freePort(random.branch('port'))
  const client = new Client(port, tally, ledger)
  let isTold = false
  const onIncident = ({ code }: Incident): void => {
    isTold ||= code === 'DiskFull' || code === 'DiskError'
  }
  const start = (): Promise<Server> => serve({ schemas: [Card], data, port, onIncident })
  let why: string | undefined
  try {
    await underPlan(plan, async () => {
      const server = await start().catch((error: unknown) => {
        if (error instanceof WeftError) isTold = true
        else why = `it did not start: ${String(error)}`
        return start()
      })
      await client.open('Ada').catch((error: unknown) => {
        // The certificate could not be stored: the person is told, and logs in again.
        if (!(error instanceof WeftError) || error.code !== 'LoginRefused') throw error
        isTold = true
        return client.open('Ada')
      })
      const acknowledged = tally.after('acknowledged', enough)
      client.start(random.branch('writer'), 2)
      await acknowledged
      await client.stop()
      await client.settled()
      await server.close().catch((error: unknown) => {
        if (!(error instanceof WeftError)) why ??= `it did not close: ${String(error)}`
      })
    })
    if (plan.isDone && !isTold && storing.has(plan.calls[plan.at]) && plan.failure !== 'short')
      why ??= 'nobody was told that it failed'
    const stored = await idsIn(join(data, logName(path, runtime)))
    if (typeof stored === 'string') why ??= stored
    else for (const id of ledger) if (!stored.has(id)) why ??= `${id} was acknowledged and is not there`
    for (const error of client.refused) why ??= `refused: ${String(error)}`
    const again = await start()
    await again.close()
    return why
  } finally {
    await client.stop()
    await client.database.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const idsIn = async (file: string): Promise<Set<string> | string> => {
  const { frames, damage, torn } = scan(await readFile(file))
  if (damage.length > 0 || torn) return `the log is ${torn ? 'torn' : 'damaged'} after it was closed`
  const packs = new PackedLogReader(runtime.hash)
  const ids = new Set<string>()
  for (const frame of frames) {
    const records = packs.records(frame)
    if (isRefusal(records)) return `a pack is ${records.code}`
    for (const bytes of records) {
      const commit = readCommit(bytes, runtime.hash)
      if (isRefusal(commit)) return `a commit is ${commit.code}`
      ids.add(commit.id)
    }
  }
  return ids
}
