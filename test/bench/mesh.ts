/**
 * Channels straight to other members, by WebRTC: how long one takes to open, how long a change takes over it, how much goes through it, and
 * what is left when it is gone.
 */
import { nodeRuntime } from '@weft-db/runtime/node'
import type { Area } from './area.ts'
import { Child } from './child.ts'
import type { Figure, Role } from './figure.ts'
import { interleaved, median, quantile } from './measure.ts'
import type { Left } from './mesh-cycles.ts'
import type { Pipe } from './mesh-end.ts'
import { messageBytes } from './sample.ts'

const area = 'mesh'
const simplePeer = 'simple-peer'
const stored = 'data channel, signed and stored'
const half = 'data channel, half a round trip'
const dataChannel = 'data channel'

const runtime = nodeRuntime()
const patience = 60_000

/** Rejects when it takes longer than anything here may: a hanging engine ends the bench with a sentence. */
const inTime = <Result>(what: string, promised: Promise<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    const cancel = runtime.timer(patience, () => reject(new Error(`${what} takes longer than ${patience / 1_000} s`)))
    promised.then(resolve, reject).finally(cancel)
  })

/** Runs with processes of these roles, and ends them. */
const within = async <Result>(
  roles: readonly string[],
  run: (children: readonly Child[]) => Promise<Result>,
): Promise<Result> => {
  const children = roles.map((role) => Child.start(role))
  try {
    return await run(children)
  } finally {
    await Promise.all(children.map((child) => child.end()))
  }
}

const isHere = (role: string): Promise<boolean> =>
  within([role], async ([child]) => child?.ask<boolean>('isReady') ?? false)

const both = async (one: Child, two: Child, method: string, ...args: unknown[]): Promise<void> => {
  await inTime(`${method} of ${one.role}`, Promise.all([one.ask(method, ...args), two.ask(method, ...args)]))
}

const quantiles = (name: string, times: ReadonlyMap<string, readonly number[]>, limit?: number): Figure[] =>
  [...times].flatMap(([engine, samples]) =>
    [
      { metric: 'p50', at: 0.5 },
      { metric: 'p95', at: 0.95 },
    ].map(({ metric, at }): Figure => {
      const role: Role = engine === 'weft' ? 'weft' : engine === simplePeer || engine === stored ? 'baseline' : 'note'
      return {
        area,
        case: name,
        engine,
        role,
        metric,
        value: quantile(samples, at),
        unit: 'ms',
        ...(engine === 'weft' && limit !== undefined && { timesBaseline: limit }),
      }
    }),
  )

/** A new member each time: whoever was there before is remembered. */
const connecting = (rounds: number): Promise<Figure[]> =>
  within(
    ['server/weft', 'mesh/member', 'mesh/member', 'server/socket.io', 'mesh/end', 'mesh/end'],
    async (children) => {
      const [server, stayer, comer, relay, accepting, dialling] = children
      if (!server || !stayer || !comer || !relay || !accepting || !dialling) throw new RangeError('too few processes')
      const port = await server.ask<number>('port')
      await both(accepting, dialling, 'post', await relay.ask<number>('port'))
      await stayer.ask('open', port, 'stayer')
      await stayer.ask('join')
      await stayer.ask('create')
      const joining: number[] = []
      const weft = async (round: number): Promise<number> => {
        await comer.ask('open', port, `comer ${round}`)
        const began = await comer.ask<number>('join')
        const [there, here] = await Promise.all(
          [stayer, comer].map((one) => one.ask<{ introducedAt?: number; linkedAt: number }>('linked')),
        )
        if (!there || !here) throw new RangeError('too few processes')
        // Either of them is told of the other first.
        const introduced = Math.min(
          there.introducedAt ?? Number.POSITIVE_INFINITY,
          here.introducedAt ?? Number.POSITIVE_INFINITY,
        )
        const opened = Math.max(there.linkedAt, here.linkedAt)
        joining.push(opened - began)
        await comer.ask('close')
        await stayer.ask('alone')
        return opened - introduced
      }
      const bare = async (): Promise<number> => {
        await accepting.ask('layBare', false)
        const began = await dialling.ask<number>('layBare', true)
        const opened = await Promise.all([accepting, dialling].map((one) => one.ask<number>('bareOpened')))
        await both(accepting, dialling, 'bareClose')
        return Math.max(...opened) - began
      }
      const engines = new Map<string, (round: number) => Promise<number>>([
        ['weft', (round) => inTime('a channel of weft', weft(round))],
        [simplePeer, () => inTime('a channel of simple-peer', bare())],
      ])
      await interleaved(2, engines)
      joining.length = 0
      const times: Map<string, number[]> = await interleaved(rounds, engines)
      times.set('weft, from opening the repository', joining)
      return quantiles('introduced to an open channel', times)
    },
  )

/** Between two messages, ms, so that what the first one left to do is no part of the second. */
const interval = 20
const whileWarming = 5
const inBlock = 20

/**
 * With the server that is told of everything as well, on both sides: it works on the same processors and the same disk. And without it,
 * so that nothing is left but the two ends.
 */
const latency = (warming: number, blocks: number): Promise<Figure[]> =>
  within(
    [
      'server/weft',
      'mesh/member',
      'mesh/member',
      'server/socket.io',
      'mesh/end',
      'mesh/end',
      'server/socket.io, signed and stored',
    ],
    async (children) => {
      const [server, writer, reader, relay, sender, receiver, keeper] = children
      if (!server || !writer || !reader || !relay || !sender || !receiver || !keeper)
        throw new RangeError('too few processes')
      const bytes = await messageBytes(await runtime.generateKey())
      const port = await server.ask<number>('port')
      for (const [name, member] of Object.entries({ writer, reader })) {
        await inTime(`a login of the ${name}`, member.ask('open', port, name))
        await member.ask('join')
        if (member === writer) await inTime('a card', writer.ask('create'))
      }
      await both(writer, reader, 'linked')
      await both(writer, reader, 'level')
      await reader.ask('watch')
      await both(sender, receiver, 'post', await relay.ask<number>('port'))
      await receiver.ask('layBare', false)
      await sender.ask('layBare', true)
      await both(sender, receiver, 'bareOpened')
      await both(sender, receiver, 'ledger')
      await sender.ask('keepAt', await keeper.ask<number>('port'))
      let number = 0
      const block = async (from: Child, to: Child, count: number, pause: number): Promise<number[]> => {
        const first = number
        number += count
        const began = await from.ask<number[]>('write', first, count, pause, bytes)
        const seen = await inTime(`a block of ${from.role}`, to.ask<number[]>('seen', first, count))
        return seen.map((at, index) => at - (began[index] ?? at))
      }
      const engines = (count: number, pause: number): Map<string, () => Promise<number[]>> =>
        new Map([
          ['weft', () => block(writer, reader, count, pause)],
          [stored, () => block(sender, receiver, count, pause)],
          [half, () => sender.ask<number[]>('ping', 0, count, pause, bytes)],
        ])
      const measured = async (name: string, limit: number): Promise<Figure[]> => {
        const times = await interleaved(blocks, engines(inBlock, interval))
        const flat = [...times].map(([engine, samples]): [string, number[]] => [engine, samples.flat()])
        return quantiles(name, new Map(flat), limit)
      }
      // Code that has run often enough is compiled for good: what is measured is not how long that takes.
      await interleaved(2, engines(warming, whileWarming))
      const kept = await measured('commit to remote callback over a direct channel', 1.5)
      await sender.ask('keepNoMore')
      await Promise.all([server.end(), keeper.end()])
      await interleaved(1, engines(inBlock, interval))
      return [...kept, ...(await measured('commit to remote callback over a direct channel, no server', 1.5))]
    },
  )

const mebibyte = 1_048_576
const sizes = [
  { size: 65_536, name: '64 KiB' },
  { size: mebibyte, name: '1 MiB' },
]

const throughput = (rounds: number, bytes: number): Promise<Figure[]> =>
  within(['server/socket.io', 'mesh/end', 'mesh/end'], async ([relay, sender, receiver]) => {
    if (!relay || !sender || !receiver) throw new RangeError('too few processes')
    await both(sender, receiver, 'post', await relay.ask<number>('port'))
    await receiver.ask('layBare', false)
    await sender.ask('layBare', true)
    await both(sender, receiver, 'bareOpened')
    await receiver.ask('layWeft', false)
    await sender.ask('layWeft', true)
    await both(sender, receiver, 'weftOpened')
    const pour = async (pipe: Pipe, bytes: number, size: number): Promise<number> => {
      await receiver.ask('expect', bytes)
      const began = await inTime(`a pour of ${pipe}`, sender.ask<number>('pour', pipe, bytes, size))
      return ((await receiver.ask<number>('received')) - began) / (bytes / mebibyte)
    }
    const engines = (bytes: number, size: number): Map<string, () => Promise<number>> =>
      new Map([
        ['weft', () => pour('weft', bytes, size)],
        [dataChannel, () => pour('bare', bytes, size)],
      ])
    const figures: Figure[] = []
    for (const { size, name } of sizes) {
      await interleaved(2, engines(8 * mebibyte, size))
      const times = await interleaved(rounds, engines(bytes, size))
      for (const [engine, samples] of times)
        figures.push({
          area,
          case: `messages of ${name} through a channel`,
          engine,
          role: engine === 'weft' ? 'weft' : 'baseline',
          metric: 'time',
          value: median(samples),
          unit: 'ms/MiB',
          // Four fifths of the throughput.
          ...(engine === 'weft' && { timesBaseline: 1.25 }),
        })
    }
    return figures
  })

/** Cycles before the first look: what is made once is there by then. */
const settling = 30

const leftOver = (cycles: number): Promise<Figure[]> =>
  within(['mesh/cycles of weft', 'mesh/cycles of simple-peer'], async (children) => {
    const figures: Figure[] = []
    for (const [index, engine] of ['weft', simplePeer].entries()) {
      const child = children[index]
      if (!child) throw new RangeError('too few processes')
      await inTime(`cycles of ${engine}`, child.ask('run', settling))
      const before = await child.ask<Left>('left')
      await inTime(`cycles of ${engine}`, child.ask('run', cycles))
      const after = await child.ask<Left>('left')
      const grew = (metric: string, unit: string, value: number, limit?: number): void => {
        figures.push({
          area,
          case: `${cycles} channels that came and went`,
          engine,
          role: engine === 'weft' ? 'weft' : 'note',
          metric,
          value: Math.max(0, value),
          unit,
          ...(engine === 'weft' && limit !== undefined && { limit }),
        })
      }
      grew('heap grown', 'KiB', (after.heap - before.heap) / 1_024, 1_024)
      grew('process grown', 'KiB', (after.resident - before.resident) / 1_024, 32_768)
      grew('connections left open', 'connections', after.live, 0)
      grew('handles more', 'handles', after.handles - before.handles, 0)
    }
    return figures
  })

export const mesh: Area = async ({ quick }) => {
  if (!(await isHere('mesh/end'))) {
    console.error('mesh is left out')
    return []
  }
  return [
    ...(await connecting(quick ? 5 : 30)),
    ...(await latency(quick ? 150 : 500, quick ? 5 : 25)),
    ...(await throughput(quick ? 3 : 7, (quick ? 8 : 32) * mebibyte)),
    ...(await leftOver(quick ? 30 : 200)),
  ]
}
