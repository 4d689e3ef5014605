/**
 * What a seed plays: a world, the plan of its faults and edits, and who in it is a guest or hostile. Plain JSON, drawn before anything
 * runs, like the plan in it.
 */
import { type Plan, type PlanEvent, type PlanSizes, planOf } from '../plan.ts'
import { Stream } from '../random.ts'
import { drawOfKind, titleEdit } from './draw.ts'
import { type Intrigue, intrigueOf } from './intrigue.ts'

/** What somebody on the way between two nodes does to messages, each with the same chance. */
export const attacks = ['flip', 'alter', 'forge', 'withhold', 'replay', 'entry', 'unknown', 'strip'] as const
/** `starve` takes every commit out of a message; one world has it and nothing else. */
export type Attack = (typeof attacks)[number] | 'starve'

export interface Hostility {
  readonly from: string
  readonly to: string
  readonly attacks: readonly Attack[]
  /** Chance per message. */
  readonly chance: number
}

export interface Script {
  readonly world: string
  readonly plan: Plan
  /** Browsers whose changes the rules refuse. */
  readonly guests: readonly string[]
  readonly hostilities: readonly Hostility[]
  /** A pair of browsers with a channel of their own: the second dials the first. */
  readonly direct: readonly [string, string] | null
  /** The browsers make channels to each other by themselves. */
  readonly mesh?: boolean
  /** Commits a second and repository. */
  readonly captureRate: number
  /** Of the world with traitors alone. */
  readonly intrigue?: Intrigue
}

/** The world with roles and traitors. */
export const byzantineWorld = 'byzantine'

interface Shape {
  readonly browsers: readonly string[]
  readonly sizes: Omit<PlanSizes, 'names'>
  /** Share of the seeds with a direct channel, with a guest, with somebody hostile. */
  readonly direct: number
  readonly guest: number
  readonly hostile: number
  /** Times at which several nodes edit one item at once. */
  readonly clashes: number
}

const crowd = Array.from({ length: 18 }, (_, index) => `n${index}`)

const shapes: Readonly<Record<string, Shape>> = {
  /** Client, server, client. */
  pair: {
    browsers: ['ada', 'bob'],
    sizes: { duration: 20_000, realSignatures: 0.05, destruction: 0 },
    direct: 0.2,
    guest: 0.2,
    hostile: 0.3,
    clashes: 6,
  },
  /** An authority and four clients. */
  five: {
    browsers: ['ada', 'bob', 'cai', 'dee'],
    sizes: { duration: 20_000, realSignatures: 0.05, destruction: 0 },
    direct: 0.4,
    guest: 0.3,
    hostile: 0.3,
    clashes: 6,
  },
  /** Many who meet late: more heads than a change may name as parents. */
  crowd: {
    browsers: crowd,
    sizes: { duration: 12_000, realSignatures: 0, destruction: 0 },
    direct: 0,
    guest: 0,
    hostile: 0,
    clashes: 2,
  },
  /** Whatever one client has is kept from the authority, until both give up. */
  starved: {
    browsers: ['ada', 'bob'],
    sizes: { duration: 300_000, realSignatures: 0, destruction: 0 },
    direct: 0,
    guest: 0,
    hostile: 0,
    clashes: 2,
  },
}

export const worldNames = [...Object.keys(shapes), byzantineWorld]

/** The world that a numbered seed plays when none is asked for: mostly the first two in turn. */
export const worldOf = (number: number): string => {
  if (number % 25 === 24) return 'crowd'
  if (number % 50 === 37) return 'starved'
  return number % 2 === 0 ? 'pair' : 'five'
}

export const seedName = (number: number): string => `0x${number.toString(16)}`

const fillsOf = (stream: Stream, names: readonly string[], duration: number): PlanEvent[] => {
  const many = stream.pick([1, 2, 4])
  if (!stream.chance(0.25)) return []
  return Array.from({ length: many }, () => ({
    at: stream.unit() * duration,
    kind: 'fill' as const,
    node: stream.pick(names),
    room: stream.int(2_000),
    lasts: stream.exponential(4_000),
  }))
}

const clashesOf = (stream: Stream, many: number, plan: Plan, browsers: readonly string[]): PlanEvent[] =>
  Array.from({ length: many }, (): PlanEvent[] => {
    const at = stream.unit() * plan.duration
    const item = stream.int(plan.items)
    const titles = stream.chance(0.5)
    return browsers.map((node) => {
      const draw = titles ? drawOfKind(plan.seed, titleEdit, stream) : stream.uint32()
      return { at, kind: 'edit', node, item, draw }
    })
  }).flat()

/** Everybody comes while the authority is away, and meets at the end. */
const apart = (browsers: readonly string[], duration: number): PlanEvent[] => [
  { at: 2_000, kind: 'partition', left: ['server'], right: [...browsers], both: true, lasts: duration - 4_000 },
]

export const scriptOf = (seed: string, world: string): Script => {
  if (world === byzantineWorld)
    return {
      world,
      guests: [],
      hostilities: [],
      direct: null,
      mesh: meshOf(seed),
      captureRate: 20,
      ...intrigueOf(seed),
    }
  const shape = shapes[world]
  if (shape === undefined) throw new Error(`there is no world ${world}: ${worldNames.join(', ')}`)
  const { browsers, sizes } = shape
  const names = ['server', ...browsers]
  const stream = new Stream(seed, `script/${world}`)
  const drawn = planOf(seed, { ...sizes, names })
  const [one, other, third] = stream.shuffle(browsers)
  const hasDirect = stream.chance(shape.direct)
  const hasGuest = stream.chance(shape.guest)
  const hasHostile = stream.chance(shape.hostile)
  const way = stream.shuffle(['server', one ?? ''])
  const enabled = attacks.filter(() => stream.chance(0.4))
  const chance = stream.pick([0.02, 0.1, 0.3])
  const captureRate = stream.pick([3, 3, 20, 1000])
  const mixed = stream.chance(0.5)
  // Neighbours hear the authority's time so exactly that edits made at once bear one clock.
  const near = stream.chance(0.3)
  // The authority writes no items itself.
  const events = drawn.events.map((event, index): PlanEvent => {
    if (event.kind !== 'edit' || event.node !== 'server') return event
    return { ...event, node: browsers[index % browsers.length] ?? event.node }
  })
  if (mixed) events.push(...clashesOf(stream.branch('clashes'), shape.clashes, drawn, browsers))
  events.push(...fillsOf(stream.branch('fills'), names, drawn.duration))
  if (world === 'crowd') events.push(...apart(browsers, drawn.duration))
  events.sort((left, right) => left.at - right.at)
  const network = near ? { ...drawn.network, least: 0.01, delay: 0.05 } : drawn.network
  const plan: Plan = { ...drawn, network, events }
  return {
    world,
    plan,
    guests: hasGuest && third !== undefined ? [third] : hasGuest && other !== undefined ? [other] : [],
    hostilities:
      world === 'starved'
        ? [{ from: 'ada', to: 'server', attacks: ['starve'], chance: 1 }]
        : hasHostile && enabled.length > 0
          ? [{ from: way[0] ?? '', to: way[1] ?? '', attacks: enabled, chance }]
          : [],
    direct: hasDirect && one !== undefined && other !== undefined ? [one, other] : null,
    mesh: world !== 'starved' && meshOf(seed),
    captureRate,
  }
}

/** Drawn by itself, so that everything else in a seed is the same with and without. */
const meshOf = (seed: string): boolean => new Stream(seed, 'script/mesh').chance(0.4)
