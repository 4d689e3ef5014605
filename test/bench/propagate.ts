/**
 * From one client through the server to another: how long a change takes, how long ten thousand of them take, and what a server spends on
 * a message that it passes on to 49 others.
 */
import { nodeRuntime } from '@weft-db/runtime/node'
import type { Area } from './area.ts'
import { Child } from './child.ts'
import { clones } from './clone.ts'
import type { Crowd, Gather } from './crowd.ts'
import { gatherSocketIo, gatherVouching, gatherWs, gatherYjs } from './crowd-peers.ts'
import { gatherWeft } from './crowd-weft.ts'
import type { Figure, Role } from './figure.ts'
import { interleaved, median, quantile } from './measure.ts'
import { messageBytes } from './sample.ts'

const area = 'propagate'
const signed = 'socket.io, signed and stored'

interface Engine {
  readonly name: string
  readonly server: string
  readonly gather: Gather
}

const weft: Engine = { name: 'weft', server: 'server/weft', gather: gatherWeft }
const socketIo: Engine = { name: 'socket.io', server: 'server/socket.io', gather: gatherSocketIo }
const vouching: Engine = { name: signed, server: `server/${signed}`, gather: gatherVouching }
const ws: Engine = { name: 'ws', server: 'server/ws', gather: gatherWs }
const yjs: Engine = { name: 'Yjs + y-websocket', server: 'server/y-websocket', gather: gatherYjs }

interface Meeting {
  readonly engine: Engine
  readonly child: Child
  readonly crowd: Crowd
}

const runtime = nodeRuntime()
const pause = (ms: number): Promise<void> => new Promise((resolve) => void runtime.timer(ms, resolve))

/** Rejects when it takes longer than anything here may: a hanging engine ends the bench with a sentence. */
const inTime = <Result>(what: string, promised: Promise<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    const cancel = runtime.timer(patience, () => reject(new Error(`${what} takes longer than ${patience / 1_000} s`)))
    promised.then(resolve, reject).finally(cancel)
  })
const patience = 60_000

const meet = async (engine: Engine, members: number, durable: boolean, bytes: number): Promise<Meeting | undefined> => {
  const child = Child.start(engine.server)
  if (await child.ask<boolean>('isReady')) {
    const port = await child.ask<number>('port')
    const crowd = await inTime(
      `gathering ${members} of ${engine.name}`,
      engine.gather({ port, members, durable, bytes }),
    )
    if (crowd !== undefined) return { engine, child, crowd }
  }
  await child.end()
  return undefined
}

const part = async ({ crowd, child }: Meeting): Promise<void> => {
  await crowd.close()
  await child.end()
}

const within = async <Result>(
  engines: readonly Engine[],
  members: number,
  durable: boolean,
  bytes: number,
  run: (meetings: readonly Meeting[]) => Promise<Result>,
): Promise<Result> => {
  const meetings: Meeting[] = []
  try {
    for (const engine of engines) {
      const meeting = await meet(engine, members, durable, bytes)
      if (meeting !== undefined) meetings.push(meeting)
    }
    return await run(meetings)
  } finally {
    for (const meeting of meetings) await part(meeting)
  }
}

const turns = <Result>(meetings: readonly Meeting[], run: (meeting: Meeting, round: number) => Promise<Result>) =>
  new Map(
    meetings.map((meeting) => [
      meeting.engine.name,
      (round: number) => inTime(`a round of ${meeting.engine.name}`, run(meeting, round)),
    ]),
  )

/** Between two messages, so that what the first one left to do is no part of the second. */
const betweenMessages = 5
const inBlock = 20

const latency = (warming: number, blocks: number, bytes: number): Promise<Figure[]> =>
  within([weft, vouching, socketIo, ws, yjs], 2, true, bytes, async (meetings) => {
    let number = 0
    const block = async ({ crowd }: Meeting): Promise<number[]> => {
      const times: number[] = []
      for (let index = 0; index < inBlock; index++) {
        const began = performance.now()
        await crowd.send(number++)
        times.push(performance.now() - began)
        await pause(betweenMessages)
      }
      return times
    }
    // Code that has run often enough is compiled for good: what is measured is not how long that takes.
    const warm = async ({ crowd }: Meeting): Promise<void> => {
      for (let index = 0; index < warming; index++) await crowd.send(number++)
    }
    await interleaved(2, turns(meetings, warm))
    const times = await interleaved(blocks, turns(meetings, block))
    return [...times].flatMap(([engine, samples]) =>
      [
        { metric: 'p50', at: 0.5 },
        { metric: 'p95', at: 0.95 },
      ].map(({ metric, at }): Figure => {
        const role: Role = engine === 'weft' ? 'weft' : engine === signed ? 'baseline' : 'note'
        const value = quantile(samples.flat(), at)
        return {
          area,
          case: 'commit to remote callback',
          engine,
          role,
          metric,
          value,
          unit: 'ms',
          ...(engine === 'weft' && { timesBaseline: 1.3 }),
        }
      }),
    )
  })

const warmingBurst = 1_000

const burst = (rounds: number, count: number, bytes: number): Promise<Figure[]> =>
  within([weft, yjs, socketIo, ws], 2, true, bytes, async (meetings) => {
    const run = async ({ crowd }: Meeting): Promise<number> => {
      const began = performance.now()
      await crowd.burst?.(count)
      return (performance.now() - began) / 1_000
    }
    await interleaved(
      1,
      turns(meetings, async ({ crowd }) => crowd.burst?.(warmingBurst)),
    )
    const times = await interleaved(rounds, turns(meetings, run))
    return [...times].map(([engine, seconds]): Figure => {
      const role: Role = engine === 'weft' ? 'weft' : engine === yjs.name ? 'peer' : 'note'
      return {
        area,
        case: `${count.toLocaleString('en-US')} transactions on as many items, until the other has them`,
        engine,
        role,
        metric: 'time',
        value: median(seconds),
        unit: 's',
        ...(engine === 'weft' && { limit: count / 10_000, aheadOfBest: true }),
      }
    })
  })

const members = 50

/**
 * Rounds of messages of one engine after the other, as everywhere; and, beside it, one message of each engine in turn, so that what the
 * others do meanwhile has emptied the caches of every server alike: in rounds a relay whose clients do next to nothing finds them warm,
 * and a server whose clients verify beside it on the same processors does not.
 */
const serverTime = (warming: number, rounds: number, messages: number, bytes: number): Promise<Figure[]> =>
  within([weft, socketIo, vouching, ws, yjs], members, false, bytes, async (meetings) => {
    let number = 0
    const send = ({ engine, crowd }: Meeting): Promise<void> =>
      inTime(`a message of ${engine.name}`, crowd.send(number++))
    const inTurn = async (messages: number): Promise<void> => {
      for (let index = 0; index < messages; index++)
        for (const meeting of index % 2 === 0 ? meetings : meetings.toReversed()) await send(meeting)
      // What they still do about them is part of it.
      await pause(100)
    }
    const round = async (meeting: Meeting): Promise<number> => {
      const began = await meeting.child.cpuTime()
      for (let index = 0; index < messages; index++) await send(meeting)
      await pause(100)
      return ((await meeting.child.cpuTime()) - began) / messages
    }
    await inTurn(warming)
    const alone = await interleaved(rounds, turns(meetings, round))
    const amid = new Map(meetings.map(({ engine }) => [engine.name, [] as number[]]))
    for (let index = 0; index < rounds; index++) {
      const began = await Promise.all(meetings.map(({ child }) => child.cpuTime()))
      await inTurn(messages)
      for (const [at, { engine, child }] of meetings.entries())
        amid.get(engine.name)?.push(((await child.cpuTime()) - (began[at] ?? 0)) / messages)
    }
    const figures = (metric: string, times: ReadonlyMap<string, readonly number[]>): Figure[] =>
      [...times].map(([engine, times]): Figure => {
        const role: Role = engine === weft.name ? 'weft' : engine === socketIo.name ? 'baseline' : 'note'
        return {
          area,
          case: `a message with ${members} clients`,
          engine,
          role,
          metric,
          value: median(times),
          unit: 'µs CPU',
          ...(engine === weft.name && { timesBaseline: 1.2 }),
        }
      })
    return [...figures('server CPU', alone), ...figures('server CPU, engines in turn', amid)]
  })

export const propagate: Area = async ({ quick }) => {
  const bytes = await messageBytes(await runtime.generateKey())
  return [
    ...(await latency(quick ? 150 : 750, quick ? 5 : 25, bytes)),
    ...(await burst(quick ? 1 : 5, quick ? 2_000 : 10_000, bytes)),
    ...(await clones(quick ? 2 : 3, quick ? 10_000 : 100_000)),
    ...(await serverTime(quick ? 150 : 750, quick ? 3 : 7, quick ? 15 : 50, bytes)),
  ]
}
