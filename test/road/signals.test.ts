/** What signals can do and what they cannot, between two sessions whose signals a test carries. */
import type { PeerTransport, Refusal, Runtime } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import {
  encodeSignalBody,
  mostSignalBytes,
  readSignal,
  type SignalBody,
  sealSignal,
  signalLife,
} from '../../packages/engine/src/mesh/signal.ts'
import { Certificates } from '../../packages/engine/src/replica/certificates.ts'
import { Clock } from '../../packages/engine/src/replica/clock.ts'
import { RootLog } from '../../packages/engine/src/replica/rootlog.ts'
import { Signalling } from '../../packages/engine/src/replica/signalling.ts'
import { decodeFrame, encodeFrame } from '../../packages/engine/src/replica/wire.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { PeerExchange } from '../sim/peer-transport.ts'
import { World } from '../sim/world.ts'
import { hash, Mint, type Person, runtime as platform } from './mint.ts'

const start = 1_700_000_100_000

interface End {
  readonly person: Person
  readonly signalling: Signalling
  readonly opened: string[]
  readonly failed: unknown[]
  readonly incidents: Refusal[]
}

class Table {
  readonly world = new World('signals', { keep: 0 })
  readonly peers = new PeerExchange(this.world)
  readonly mint: Mint
  readonly ends: End[] = []
  /** Signals on their way, as their carrier sees them. */
  readonly carried: { from: string; to: string; bytes: Uint8Array }[] = []
  /** Whether they are delivered at once. */
  delivers = true
  mayMeet = true
  answer: 'full' | undefined

  private constructor(mint: Mint) {
    this.mint = mint
  }

  /** Two people; the first has the session that comes first. */
  static async open(): Promise<Table> {
    const table = new Table(await Mint.open())
    const people = [await table.mint.person('ada'), await table.mint.person('bob')]
    people.sort((one, other) => (one.certificate.session < other.certificate.session ? -1 : 1))
    for (const person of people) await table.sit(person)
    return table
  }

  get runtime(): Runtime {
    const { world } = this
    return {
      ...platform,
      now: () => start + world.now,
      elapsed: () => world.now,
      timer: (ms, run) => {
        let holds = true
        world.at(ms, 'signals timer', () => {
          if (holds) run()
        })
        return () => {
          holds = false
        }
      },
      hash,
    }
  }

  async sit(person: Person): Promise<End> {
    const { runtime } = this
    const root = new RootLog(runtime)
    const genesis = await root.check(this.mint.genesis.bytes)
    if (typeof genesis !== 'object' || !('statement' in genesis)) throw new Error('the genesis does not fit')
    root.append(genesis)
    const transport: PeerTransport = this.peers.transport(person.certificate.name)
    const end: End = {
      person,
      opened: [],
      failed: [],
      incidents: [],
      signalling: new Signalling({
        runtime,
        clock: new Clock(runtime.now),
        certificates: new Certificates(runtime, root),
        transport,
        relayOnly: false,
        servers: () => [],
        self: () => person,
        mayMeet: () => this.mayMeet,
        carry: (to, bytes) => {
          const signal = { from: person.certificate.session, to, bytes }
          this.carried.push(signal)
          if (this.delivers) this.deliver(signal)
          return true
        },
        asked: () => this.answer,
        opened: (session) => void end.opened.push(session),
        failed: (_, why) => void end.failed.push(why),
        incident: (why) => void end.incidents.push(why),
      }),
    }
    this.ends.push(end)
    return end
  }

  end(index: number): End {
    const end = this.ends[index]
    if (end === undefined) throw new Error('nobody sits there')
    return end
  }

  deliver({ from, to, bytes }: { from: string; to: string; bytes: Uint8Array }): void {
    this.ends.find(({ person }) => person.certificate.session === to)?.signalling.heard(from, bytes)
  }

  /** Lets so much virtual time pass, with the real signatures that are under way. */
  async run(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      await this.world.run(this.world.now + 5)
      await platform.verify(new Uint8Array(65), new Uint8Array(1), new Uint8Array(64))
    }
  }

  get begun(): number {
    return [...this.peers.begun.values()].reduce((sum, count) => sum + count, 0)
  }

  /** A signal as a session could make it: whatever is given takes the place of what is right. */
  async forge(from: Person, to: Person, wrong: Partial<SignalBody> = {}, by = from): Promise<Uint8Array> {
    const body = encodeSignalBody({
      network: this.mint.network,
      from: from.certificate.session,
      to: to.certificate.session,
      attempt: '07'.repeat(16),
      number: 0,
      expires: start + this.world.now + signalLife,
      content: { kind: 'ask', urgent: false },
      ...wrong,
    })
    const signature = await by.key.sign(messageOf('signal', body, hash))
    return sealSignal(body, signature, from.certificate.bytes)
  }
}

describe('[N4] two that want each other', () => {
  test.each([[[0]], [[1]], [[0, 1]]])('get one channel, whoever begins: %j', async (who) => {
    const table = await Table.open()
    const [first, second] = [table.end(0), table.end(1)]
    const sessions = [first, second].map(({ person }) => person.certificate.session)
    for (const index of who) table.end(index).signalling.connect(sessions[1 - index] ?? '', false)
    await table.run(500)
    expect([first.opened, second.opened]).toEqual([[sessions[1]], [sessions[0]]])
    expect(table.peers.joined).toHaveLength(1)
    expect([...first.incidents, ...second.incidents]).toEqual([])
  })

  test('whoever is full says so, and nothing is made on that side', async () => {
    const table = await Table.open()
    table.answer = 'full'
    table.end(0).signalling.connect(table.end(1).person.certificate.session, false)
    await table.run(500)
    expect(table.end(0).failed).toEqual(['full'])
    expect(table.peers.begun.get(table.end(1).person.certificate.name)).toBeUndefined()
  })

  test('an attempt that is over hears nothing more: signals of it that come late do no harm', async () => {
    const table = await Table.open()
    table.delivers = false
    const [first, second] = [table.end(0), table.end(1)]
    first.signalling.connect(second.person.certificate.session, false)
    await table.run(100)
    first.signalling.abandon(second.person.certificate.session)
    await table.run(100)
    table.delivers = true
    const late = table.carried.splice(0)
    first.signalling.connect(second.person.certificate.session, false)
    await table.run(500)
    for (const signal of late) table.deliver(signal)
    await table.run(500)
    expect([first.opened.length, second.opened.length]).toEqual([1, 1])
  })
})

describe('[N3] no channel is begun by', () => {
  const cases: readonly (readonly [string, (table: Table) => Promise<[from: string, bytes: Uint8Array]>])[] = [
    [
      'a signal for somebody else',
      async (t) => [t.end(1).person.certificate.session, await t.forge(t.end(1).person, t.end(1).person)],
    ],
    [
      'one of another network',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, { network: 'ab'.repeat(32) }),
      ],
    ],
    [
      'one that is late',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, { expires: start + t.world.now }),
      ],
    ],
    [
      'one that holds too long',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, { expires: start + t.world.now + 10 * signalLife }),
      ],
    ],
    [
      'one that another session signed',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, {}, t.end(0).person),
      ],
    ],
    [
      'one that came from somebody else than it says',
      async (t) => ['cd'.repeat(32), await t.forge(t.end(1).person, t.end(0).person)],
    ],
    [
      'an answer to nothing',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, { content: { kind: 'path', parts: [new Uint8Array(4)] } }),
      ],
    ],
    [
      'an offer of the session that does not offer',
      async (t) => [
        t.end(1).person.certificate.session,
        await t.forge(t.end(1).person, t.end(0).person, {
          content: { kind: 'path', parts: [new TextEncoder().encode('offer 1')] },
        }),
      ],
    ],
    [
      'bytes that are none',
      async (t) => [t.end(1).person.certificate.session, crypto.getRandomValues(new Uint8Array(200))],
    ],
  ]

  test.each(cases)('%s', async (_, make) => {
    const table = await Table.open()
    const [from, bytes] = await make(table)
    table.end(0).signalling.heard(from, bytes)
    await table.run(200)
    expect(table.begun).toBe(0)
  })

  test('a session that may read nothing here; it is told nothing either', async () => {
    const table = await Table.open()
    table.mayMeet = false
    const [first, second] = [table.end(0), table.end(1)]
    first.signalling.heard(second.person.certificate.session, await table.forge(second.person, first.person))
    await table.run(200)
    expect([table.begun, table.carried]).toEqual([0, []])
  })

  test('a signal that comes again: a thousand times, one attempt', async () => {
    const table = await Table.open()
    const [first, second] = [table.end(0), table.end(1)]
    const bytes = await table.forge(second.person, first.person)
    for (let time = 0; time < 1_000; time++) {
      first.signalling.heard(second.person.certificate.session, bytes)
      if (time % 50 === 0) await table.run(20)
      if (time === 500) first.signalling.abandon(second.person.certificate.session)
    }
    await table.run(100)
    expect(table.peers.begun.get(first.person.certificate.name)).toBe(1)
  })
})

test('signalBytes: a part as long as limits.signalBytes passes, a longer one is refused, and no bit of a signal may change', async () => {
  const table = await Table.open()
  const [first, second] = [table.end(0).person, table.end(1).person]
  const path = (length: number) => ({ content: { kind: 'path' as const, parts: [new Uint8Array(length)] } })
  expect(readSignal(await table.forge(first, second, path(limits.signalBytes)))).toMatchObject({ number: 0 })
  expect(readSignal(await table.forge(first, second, path(limits.signalBytes + 1)))).toMatchObject({
    code: 'Malformed',
  })
  expect(readSignal(new Uint8Array(4 * limits.signalBytes))).toMatchObject({ code: 'TooLarge' })
  const carried = (length: number) => {
    const frame = { kind: 'carry', session: 'ab'.repeat(32), signal: new Uint8Array(length) } as const
    return decodeFrame(encodeFrame(0, frame), 0)
  }
  expect(carried(mostSignalBytes)).toMatchObject({ kind: 'carry' })
  expect(carried(mostSignalBytes + 1)).toMatchObject({ code: 'Malformed' })
  const bytes = await table.forge(first, second)
  const heard = table.end(1)
  for (let bit = 0; bit < bytes.length * 8; bit += 37) {
    const changed = bytes.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    heard.signalling.heard(first.certificate.session, changed)
    if (bit % 370 === 0) await table.run(10)
  }
  await table.run(200)
  expect(table.begun).toBe(0)
})
