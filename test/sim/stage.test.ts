/**
 * The whole stage under a small store: each node appends numbered entries to a file, syncs, acknowledges, and gossips what it has. It judges
 * the simulator: the store is right, and three mistakes that a store can make must be found.
 */
import type { Channel, File } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import type { Device } from './device.ts'
import type { Disk } from './files.ts'
import { type Plan, planOf } from './plan.ts'
import { shrink } from './shrink.ts'
import { Stage } from './stage.ts'
import { Failure } from './world.ts'

type Mistake = 'none' | 'acknowledges early' | 'retries sync' | 'never gossips'

const entryLength = 8
const entryOf = (draw: number): Uint8Array => {
  const entry = Buffer.alloc(entryLength)
  entry.writeUInt32LE(draw, 0)
  entry.writeUInt32LE(~draw >>> 0, 4)
  return Uint8Array.from(entry)
}

/** The entries at the start of a file, up to the first that is not whole. */
const entriesIn = (bytes: Uint8Array): number[] => {
  const buffer = Buffer.from(bytes)
  const found: number[] = []
  for (let at = 0; at + entryLength <= buffer.length; at += entryLength) {
    const draw = buffer.readUInt32LE(at)
    if (buffer.readUInt32LE(at + 4) !== ~draw >>> 0) break
    found.push(draw)
  }
  return found
}

class Store {
  readonly known = new Set<number>()
  readonly channels = new Set<Channel>()
  readonly #acknowledge: (draw: number) => void
  readonly #mistake: Mistake
  #file: File | undefined
  #size = 0
  #queue: number[] = []
  #writing = false
  #broken = false

  constructor(mistake: Mistake, acknowledge: (draw: number) => void) {
    this.#mistake = mistake
    this.#acknowledge = acknowledge
  }

  async open(device: Device, stage: Stage): Promise<void> {
    const { files, life } = device.boot()
    const meet = (channel: Channel): void => this.#meet(channel)
    try {
      await files.lock()
      const old = await files.open('log', false)
      const held = old === undefined ? [] : entriesIn(await old.read(0, await old.size()))
      // What is read may stand only in the cache, so it is written anew, and never over what is stored.
      const file = await files.open('next', true)
      if (file === undefined) return
      await file.truncate(0)
      this.#size = 0
      await this.#append(file, held, () => undefined)
      await files.rename('next', 'log')
      await files.syncNames()
      for (const draw of held) this.known.add(draw)
      this.#file = file
    } catch {
      life.at(1000, `${device.name} tries again`, () => {
        life.end()
        void this.open(device, stage)
      })
      return
    }
    if (device.name === 'server') stage.network.acceptor(life).start(meet)
    else stage.network.dialer(life, 'server').start(meet)
    void this.#write()
  }

  add(draws: readonly number[]): void {
    this.#queue.push(...draws.filter((draw) => !this.known.has(draw) && !this.#queue.includes(draw)))
    void this.#write()
  }

  #meet(channel: Channel): void {
    this.channels.add(channel)
    channel.listen({
      message: (bytes) => this.add(entriesIn(bytes)),
      drain: () => undefined,
      closed: () => this.channels.delete(channel),
    })
    this.#tell([...this.known])
  }

  #tell(draws: readonly number[]): void {
    if (this.#mistake === 'never gossips') return
    for (const channel of this.channels) channel.send(Buffer.concat(draws.map(entryOf)))
  }

  async #write(): Promise<void> {
    if (this.#writing || this.#broken || this.#file === undefined) return
    this.#writing = true
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, 16)
      try {
        await this.#append(this.#file, batch, this.#acknowledge)
      } catch {
        // The next opening reads what there is.
        this.#broken = true
        return
      }
      this.#queue = this.#queue.slice(batch.length)
      for (const draw of batch) {
        this.known.add(draw)
        this.#acknowledge(draw)
      }
      this.#tell(batch)
    }
    this.#writing = false
  }

  async #append(file: File, batch: readonly number[], acknowledge: (draw: number) => void): Promise<void> {
    const bytes = Buffer.concat(batch.map(entryOf))
    let written = 0
    while (written < bytes.length) written += await file.write(this.#size + written, bytes.subarray(written))
    this.#size += written
    if (this.#mistake === 'acknowledges early') for (const draw of batch) acknowledge(draw)
    if (this.#mistake === 'retries sync') await file.sync().catch(() => file.sync())
    else await file.sync()
  }
}

const recoverable = async (disk: Disk): Promise<Set<number>> => {
  const clone = disk.clone()
  clone.crash()
  const file = await clone.files().open('log', false)
  return new Set(file === undefined ? [] : entriesIn(await file.read(0, await file.size())))
}

const play = async (plan: Plan, mistake: Mistake): Promise<string> => {
  const stage = new Stage(plan)
  const acknowledged = new Map<string, Set<number>>()
  const stores = new Map<string, Store>()
  const ackOf = (name: string): Set<number> => {
    const known = acknowledged.get(name) ?? new Set()
    acknowledged.set(name, known)
    return known
  }
  const open = (device: Device): void => {
    const store = new Store(mistake, (draw) => ackOf(device.name).add(draw))
    stores.set(device.name, store)
    void store.open(device, stage)
  }
  stage.open({ boot: open, edit: (device, _item, draw) => stores.get(device.name)?.add([draw]) })
  stage.world.check(
    'acked is recoverable',
    async () => {
      for (const [name, draws] of acknowledged) {
        if (name === plan.destroys) continue
        const left = await recoverable(stage.device(name).disk)
        for (const draw of draws) if (!left.has(draw)) throw new Error(`${name} lost ${draw}`)
      }
    },
    7,
  )
  await stage.world.run(plan.duration)
  stage.calm()
  for (const device of stage.devices.values()) {
    device.crash({ cache: 'lost', lock: 'released' })
    open(device)
  }
  await stage.world.run(plan.duration + 120_000)
  const all = new Set([...acknowledged].flatMap(([name, draws]) => (name === plan.destroys ? [] : [...draws])))
  for (const name of stage.devices.keys()) {
    for (const draw of all)
      if (!stores.get(name)?.known.has(draw)) throw new Failure(`${name} never got ${draw}`, stage.world)
  }
  return stage.world.traceHash()
}

const seeds = Array.from({ length: 40 }, (_, index) => `stage ${index}`)
/** Shorter than usual: the store gossips everything to everyone. */
const sizes = { duration: 5000, realSignatures: 0, destruction: 0.2 }
const outcome = async (plan: Plan, mistake: Mistake): Promise<string> =>
  play(plan, mistake).then(
    () => 'passes',
    (error: unknown) =>
      error instanceof Failure ? (/FAIL (.*?) (lost|never)/.exec(error.message)?.[0] ?? error.message) : String(error),
  )

describe('the stage', () => {
  test('a store that makes no mistake passes every seed', async () => {
    for (const seed of seeds) expect(await outcome(planOf(seed, sizes), 'none'), seed).toBe('passes')
  })

  test('the same plan gives the same trace', async () => {
    for (const seed of seeds.slice(0, 5)) {
      expect(await play(planOf(seed, sizes), 'none')).toBe(await play(planOf(seed, sizes), 'none'))
    }
  })

  test.each([
    ['acknowledges early', 'acked is recoverable'],
    ['retries sync', 'acked is recoverable'],
    ['never gossips', 'never'],
  ] as const)('a store that %s is found', async (mistake, symptom) => {
    let found: Plan | undefined
    for (let index = 0; index < 300 && found === undefined; index++) {
      const plan = planOf(`mistake ${index}`, sizes)
      if ((await outcome(plan, mistake)).includes(symptom)) found = plan
    }
    if (found === undefined) throw new Error('300 seeds found nothing')
    const small = await shrink(found, async (plan) => (await outcome(plan, mistake)).includes(symptom), 100)
    expect(small.events.length).toBeLessThan(found.events.length / 2)
    expect(await outcome(small, mistake)).toContain(symptom)
    expect(await outcome(small, 'none')).toBe('passes')
  })
})
