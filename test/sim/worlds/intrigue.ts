/** What a seed with traitors plays: who is who, who has a channel to whom, and what the authority, the founder and the traitors do when. */
import { soundDisk } from '../files.ts'
import { type Plan, type PlanEvent, planOf } from '../plan.ts'
import { Stream } from '../random.ts'
import { type Trick, tricks } from './trick.ts'

export type Act =
  /** A member with the right to gives or takes a role, or invites. */
  | {
      readonly at: number
      readonly kind: 'grant'
      readonly to: string
      readonly role: string | null
      readonly fences: boolean
      readonly invites: boolean
    }
  | { readonly at: number; readonly kind: 'revoke'; readonly whom: string; readonly session: boolean }
  /** The authority starts again with newer rules, or with another key. */
  | { readonly at: number; readonly kind: 'rules' }
  | { readonly at: number; readonly kind: 'rotate' }
  | { readonly at: number; readonly kind: 'trick'; readonly who: string; readonly trick: Trick; readonly draw: number }

export interface Person {
  readonly name: string
  readonly owner: string
  readonly isTraitor: boolean
}

export interface Intrigue {
  readonly people: readonly Person[]
  /** Pairs of people with a channel of their own: the second dials the first. */
  readonly direct: readonly (readonly [string, string])[]
  readonly acts: readonly Act[]
}

const duration = 24_000
const honestNames = ['ann', 'bob', 'cai', 'dee', 'eli', 'flo']
const traitorNames = ['mal', 'max', 'mia']

const peopleOf = (stream: Stream): Person[] => {
  const honest = honestNames.slice(0, 2 + stream.int(5))
  const traitors = traitorNames.slice(0, 1 + stream.int(3))
  const founds = stream.chance(0.3)
  return [
    ...honest.map((name, index) => {
      const shared = index === 2 && stream.chance(0.4) ? 'bob' : name
      return { name, owner: name === 'ann' ? 'founder:ann' : `member:${shared}`, isTraitor: false }
    }),
    ...traitors.map((name, index) => ({
      name,
      owner: founds && index === 0 ? `founder:${name}` : `member:${name}`,
      isTraitor: true,
    })),
  ]
}

const actsOf = (stream: Stream, people: readonly Person[]): Act[] => {
  const acts: Act[] = []
  const others = people.filter(({ name }) => name !== 'ann')
  const traitors = people.filter(({ isTraitor }) => isTraitor)
  const rolesOf = ({ isTraitor }: Person): readonly string[] =>
    isTraitor ? ['editor', 'editor', 'viewer'] : ['editor', 'editor', 'viewer', 'owner']
  for (const person of others) {
    // Some are let in early, and again where the founder was not there yet.
    for (const at of [2_500 + stream.int(2_000), 6_000 + stream.int(6_000)])
      acts.push({
        at,
        kind: 'grant',
        to: person.name,
        role: stream.pick(rolesOf(person)),
        fences: false,
        invites: stream.chance(0.3),
      })
  }
  for (let many = stream.int(7); many > 0; many--) {
    const person = stream.pick(others)
    const role = stream.chance(0.35) ? null : stream.pick(rolesOf(person))
    const fences = stream.chance(0.75)
    acts.push({ at: 7_000 + stream.int(15_000), kind: 'grant', to: person.name, role, fences, invites: false })
  }
  for (let many = stream.pick([0, 0, 1, 2]); many > 0; many--) {
    const whom = stream.chance(0.7) ? stream.pick(traitors) : stream.pick(others)
    acts.push({ at: 8_000 + stream.int(14_000), kind: 'revoke', whom: whom.name, session: stream.chance(0.6) })
  }
  if (stream.chance(0.35)) acts.push({ at: 6_000 + stream.int(14_000), kind: 'rules' })
  for (let many = stream.pick([0, 0, 0, 1, 2]); many > 0; many--)
    acts.push({ at: 6_000 + stream.int(14_000), kind: 'rotate' })
  const favourites = stream.shuffle(tricks).slice(0, 3 + stream.int(tricks.length - 2))
  for (const { name } of traitors) {
    for (let many = stream.pick([4, 10, 25]); many > 0; many--) {
      const at = stream.chance(0.1) ? stream.int(2_500) : 2_500 + stream.int(duration - 3_000)
      acts.push({ at, kind: 'trick', who: name, trick: stream.pick(favourites), draw: stream.uint32() })
    }
  }
  return acts.sort((a, b) => a.at - b.at)
}

/** Fewer faults than in the other worlds: here it is people who do harm. */
const mild = (plan: Plan, stream: Stream, people: readonly string[]): Plan => {
  const faulty = stream.chance(0.3)
  const nodes = plan.nodes.map((node) => ({
    ...node,
    disk: faulty
      ? node.disk
      : { ...soundDisk, latency: node.disk.latency, syncLatency: Math.min(2, node.disk.syncLatency) },
  }))
  const kept = plan.events.filter(({ kind }) => kind !== 'jump' && (kind === 'edit' || stream.chance(0.5)))
  const moved = kept.map((event): PlanEvent => {
    if (event.kind !== 'edit') return event
    // The authority edits nothing, and the founder is the first.
    const node = event.node === 'server' ? stream.pick(people) : event.node
    return { ...event, node, item: event.item % 3 }
  })
  const away: PlanEvent[] = stream.chance(0.5)
    ? [
        {
          at: 5_000 + stream.int(8_000),
          kind: 'partition',
          left: ['server'],
          right: [...people],
          both: true,
          lasts: 1_000 + stream.int(6_000),
        },
      ]
    : []
  const alone: PlanEvent[] = stream.chance(0.6)
    ? [
        {
          at: 5_000 + stream.int(8_000),
          kind: 'partition',
          left: ['server'],
          right: [stream.pick(people)],
          both: true,
          lasts: 2_000 + stream.int(9_000),
        },
      ]
    : []
  const founds: PlanEvent = { at: 1_000 + stream.int(1_200), kind: 'edit', node: 'ann', item: 0, draw: stream.uint32() }
  const network = {
    ...plan.network,
    delay: Math.min(plan.network.delay, 100),
    ...(stream.chance(0.5) ? { drop: 0, duplicate: 0, reorder: 0, truncate: 0, break: 0, refuse: 0 } : {}),
  }
  return {
    ...plan,
    nodes,
    network,
    items: 3,
    events: [...moved, ...away, ...alone, founds].sort((a, b) => a.at - b.at),
  }
}

export const intrigueOf = (seed: string): { readonly plan: Plan; readonly intrigue: Intrigue } => {
  const stream = new Stream(seed, 'intrigue')
  const people = peopleOf(stream)
  const names = people.map(({ name }) => name)
  const drawn = planOf(seed, { duration, realSignatures: 0.02, destruction: 0, names: ['server', ...names] })
  const few = { ...drawn, events: drawn.events.filter(({ kind }, index) => kind !== 'edit' || index % 2 === 0) }
  const pairs = names.flatMap((one, index) => names.slice(index + 1).map((other) => [one, other] as const))
  const share = stream.pick([0, 0.3, 0.8])
  const direct = pairs.filter(() => stream.chance(share))
  return {
    plan: mild(few, stream.branch('faults'), names),
    intrigue: { people, direct, acts: actsOf(stream.branch('acts'), people) },
  }
}
