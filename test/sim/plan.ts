/**
 * What happens in a seed, as plain JSON, drawn before anything runs: nodes, faults, crashes, cuts and the work. A plan can be printed, kept
 * as a regression and shrunk, because nothing in it depends on how the run goes. Swarm testing (Groce and others, ISSTA 2012): every
 * seed enables a random subset of the faults, since with all of them always on the rare combinations never get a turn.
 */
import type { ClockFaults } from './clock.ts'
import { type DiskFaults, soundDisk } from './files.ts'
import { Stream } from './random.ts'
import type { SignatureMode } from './signatures.ts'
import type { NetworkFaults } from './wiring.ts'

export interface NodePlan {
  readonly name: string
  readonly role: 'server' | 'browser'
  readonly clock: ClockFaults
  readonly disk: DiskFaults
  readonly lateness: number
  readonly cryptoDelay: number
}

/** Times and durations are in ms of world time. */
export type PlanEvent =
  /** The node dies and is back after `off`. */
  | { at: number; kind: 'crash'; node: string; cache: 'lost' | 'kept'; lock: 'released' | 'kept'; off: number }
  | { at: number; kind: 'partition'; left: string[]; right: string[]; both: boolean; lasts: number }
  | { at: number; kind: 'clog'; from: string; to: string; lasts: number }
  | { at: number; kind: 'break'; one: string; other: string }
  | { at: number; kind: 'freeze'; node: string; lasts: number }
  | { at: number; kind: 'jump'; node: string; by: number }
  | { at: number; kind: 'drift'; node: string; drift: number }
  /** The system forgets clean pages. */
  | { at: number; kind: 'dropCache'; node: string }
  /** The disk has room for so many more bytes only. */
  | { at: number; kind: 'fill'; node: string; room: number; lasts: number }
  /** A bit of the disk flips, or everything is gone. They hit only the node that `destroys` names. */
  | { at: number; kind: 'rot'; node: string }
  | { at: number; kind: 'wipe'; node: string; off: number }
  /** Work: `draw` seeds what the edit does, so that leaving out one edit changes no other. */
  | { at: number; kind: 'edit'; node: string; item: number; draw: number }

export interface Plan {
  readonly seed: string
  readonly duration: number
  readonly signatures: SignatureMode
  readonly items: number
  readonly nodes: readonly NodePlan[]
  readonly network: NetworkFaults
  /** The one node whose disk may lose what it had acknowledged; null if there is none. */
  readonly destroys: string | null
  /** Ordered by time. */
  readonly events: readonly PlanEvent[]
}

export const soundClock: ClockFaults = { drift: 1, offset: 0 }

export const soundNode = (name: string, role: NodePlan['role']): NodePlan => ({
  name,
  role,
  clock: soundClock,
  disk: soundDisk,
  lateness: 0.5,
  cryptoDelay: 0,
})

const day = 86_400_000

/** Draws a fault: its value when the swarm has it on, else the sound one. Takes the same draws either way. */
const maybe = <Value>(stream: Stream, probability: number, values: readonly Value[], sound: Value): Value => {
  const value = stream.pick(values)
  return stream.chance(probability) ? value : sound
}

const diskOf = (stream: Stream): DiskFaults => ({
  latency: stream.pick([0.05, 0.1, 1]),
  syncLatency: stream.pick([0.5, 2, 20]),
  capacity: maybe<number | null>(stream, 0.1, [20_000, 100_000, 400_000], null),
  shortWrite: maybe(stream, 0.3, [0.01, 0.1, 0.5], 0),
  readError: maybe(stream, 0.1, [0.001, 0.01], 0),
  writeError: maybe(stream, 0.15, [0.001, 0.01], 0),
  syncError: maybe(stream, 0.25, [0.001, 0.01, 0.05], 0),
  nameError: maybe(stream, 0.1, [0.001, 0.01], 0),
  subset: stream.pick([0, 0.5, 1]),
  tear: stream.pick([0, 0.5, 1]),
  zeroSector: maybe(stream, 0.3, [0.1, 0.5], 0),
})

const nodeOf = (stream: Stream, name: string, role: NodePlan['role']): NodePlan => ({
  name,
  role,
  clock: {
    drift: maybe(stream, 0.3, [0.9, 0.999, 1.001, 1.1], 1),
    offset: maybe(stream, 0.3, [-day, -60_000, 60_000, 240_000, 600_000, day], 0),
  },
  disk: diskOf(stream),
  lateness: stream.pick([0.1, 1, 15]),
  cryptoDelay: maybe(stream, 0.3, [0.1, 2], 0),
})

const networkOf = (stream: Stream): NetworkFaults => ({
  least: stream.pick([0.1, 1, 20]),
  delay: stream.pick([1, 10, 100, 1000]),
  bandwidth: maybe<number | null>(stream, 0.3, [10, 100, 10_000], null),
  drop: maybe(stream, 0.2, [0.001, 0.01, 0.1], 0),
  duplicate: maybe(stream, 0.2, [0.01, 0.1], 0),
  reorder: maybe(stream, 0.2, [0.01, 0.1], 0),
  truncate: maybe(stream, 0.15, [0.001, 0.02], 0),
  break: maybe(stream, 0.3, [0.001, 0.02], 0),
  refuse: maybe(stream, 0.2, [0.1, 0.5], 0),
  patience: stream.pick([500, 5_000, 30_000]),
  silentDeath: maybe(stream, 0.3, [0.5, 1], 0),
  newAddress: maybe(stream, 0.3, [0.5, 1], 0),
})

const faultKinds = ['crash', 'partition', 'clog', 'break', 'freeze', 'jump', 'drift', 'dropCache'] as const
type FaultKind = (typeof faultKinds)[number] | 'rot' | 'wipe'

const faultOf = (stream: Stream, kind: FaultKind, at: number, names: readonly string[]): PlanEvent => {
  const [node = '', other = ''] = stream.shuffle(names)
  const lasts = stream.exponential(stream.pick([50, 1000, 10_000]))
  if (kind === 'partition') {
    const mixed = stream.shuffle(names)
    const size = 1 + stream.int(names.length - 1)
    return { at, kind, left: mixed.slice(0, size), right: mixed.slice(size), both: stream.chance(0.7), lasts }
  }
  if (kind === 'clog') return { at, kind, from: node, to: other, lasts }
  if (kind === 'break') return { at, kind, one: node, other }
  if (kind === 'freeze') return { at, kind, node, lasts }
  if (kind === 'jump') return { at, kind, node, by: stream.pick([-day, -3_600_000, -1000, 1000, 3_600_000, day]) }
  if (kind === 'drift') return { at, kind, node, drift: stream.pick([0.9, 1, 1.1]) }
  if (kind === 'crash') {
    return {
      at,
      kind,
      node,
      cache: stream.pick(['lost', 'kept']),
      lock: stream.chance(0.1) ? 'kept' : 'released',
      off: lasts,
    }
  }
  if (kind === 'wipe') return { at, kind, node, off: lasts }
  return { at, kind, node }
}

export interface PlanSizes {
  /** ms of world time in which things happen. */
  readonly duration: number
  /** Share of the seeds with real signatures. */
  readonly realSignatures: number
  /** Share of the seeds in which one disk rots or is wiped. */
  readonly destruction: number
  /** The nodes, the server first; drawn unless given. */
  readonly names?: readonly string[]
}

export const usualSizes: PlanSizes = { duration: 20_000, realSignatures: 0.05, destruction: 0.1 }

/** The plan of a seed: one server and one to seven browsers. */
export const planOf = (seed: string, sizes: PlanSizes = usualSizes): Plan => {
  const stream = new Stream(seed, 'plan')
  const { duration } = sizes
  const drawn = ['server', ...['ada', 'bob', 'cai', 'dee', 'eve', 'fay', 'gus'].slice(0, 1 + stream.int(7))]
  const names = sizes.names ?? drawn
  const nodes = names.map((name) =>
    nodeOf(new Stream(seed, `plan/${name}`), name, name === 'server' ? 'server' : 'browser'),
  )
  const items = 1 + stream.int(5)
  const signatures = stream.chance(sizes.realSignatures) ? 'real' : 'fast'
  const events: PlanEvent[] = []
  const faults = new Stream(seed, 'plan/faults')
  for (const kind of faultKinds) {
    const many = maybe(faults, 0.4, [1, 2, 5, 10], 0)
    for (let index = 0; index < many; index++) events.push(faultOf(faults, kind, faults.unit() * duration, names))
  }
  const destroyed = faults.pick(names)
  const kind = faults.pick(['rot', 'wipe'] as const)
  const destroys = faults.chance(sizes.destruction) ? destroyed : null
  if (destroys !== null) events.push(faultOf(faults, kind, faults.unit() * duration, [destroys]))
  const work = new Stream(seed, 'plan/work')
  const edits = work.pick([5, 20, 60, 150])
  for (let index = 0; index < edits; index++) {
    const at = work.unit() * duration
    events.push({ at, kind: 'edit', node: work.pick(names), item: work.int(items), draw: work.uint32() })
  }
  events.sort((left, right) => left.at - right.at)
  return {
    seed,
    duration,
    signatures,
    items,
    nodes,
    network: networkOf(new Stream(seed, 'plan/network')),
    destroys,
    events,
  }
}

/** The nodes that an event needs. */
export const nodesOf = (event: PlanEvent): string[] => {
  if (event.kind === 'partition') return [...event.left, ...event.right]
  if (event.kind === 'clog') return [event.from, event.to]
  if (event.kind === 'break') return [event.one, event.other]
  return [event.node]
}
