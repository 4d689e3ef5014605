/** What a seed plays: who meets whom, what they hold, what goes wrong. Drawn before anything runs. */
import type { Stream } from '../random.ts'
import type { Shape } from './histories.ts'
import { type Lie, lies } from './lies.ts'

export type Meeting = 'plain' | 'live' | 'broken'

export interface Scenario {
  readonly replicas: number
  /** Who dials whom. */
  readonly links: readonly (readonly [number, number])[]
  /** Which ends of each link speak filters alone. */
  readonly filtersAlone: readonly (readonly [boolean, boolean])[]
  readonly shape: Shape
  /** A replica that begins with nothing. */
  readonly empty: number | undefined
  readonly alike: boolean
  /** The last replica lies about these, until it reforms or is left. */
  readonly lies: readonly Lie[]
  readonly reforms: boolean
  /** Share of messages that come twice. */
  readonly twice: number
  /** A replica takes some of what it lacks: never, or not yet. */
  readonly refusal: 'none' | 'for good' | 'waits' | 'rate' | 'disk'
  /** What happens at each meeting; the last is always left alone. */
  readonly meetings: readonly Meeting[]
  /** Chance that a replica is set back between two meetings. */
  readonly restores: number
  /** How the hint of each meeting comes about. */
  readonly hints: 'right' | 'wrong'
}

const plainShape = { forks: 0, branches: 0, mined: false, crossing: 0.15 }

const shapeOf = (random: Stream): Shape => {
  const kind = random.unit()
  const up = (least: number, most: number): number => least + random.int(most - least + 1)
  if (kind < 0.6) {
    const chains = up(1, 40)
    return { ...plainShape, chains, length: 8, moved: random.int(Math.min(chains, 12)), by: 8, fresh: 3 }
  }
  if (kind < 0.85) return { ...plainShape, chains: up(40, 200), length: 4, moved: random.int(40), by: 4, fresh: 2 }
  if (kind < 0.92) return { ...plainShape, chains: up(500, 900), length: 2, moved: up(20, 140), by: 1, fresh: 1 }
  return { ...plainShape, chains: up(0, 3), length: 30, moved: random.int(3), by: 40, fresh: 1 }
}

/** More heads than a vector may hold, and more that moved than sums tell. */
const crowd: Shape = { ...plainShape, chains: 65_700, length: 1, moved: 140, by: 1, fresh: 0, crossing: 0 }

/** One seed in so many is a crowd, which takes seconds. */
const crowds = 250

/** A tree over the first so many replicas, and now and then one more link; either end dials. */
const linksAmong = (random: Stream, count: number): (readonly [number, number])[] => {
  const pairs: [number, number][] = []
  for (let at = 1; at < count; at++) pairs.push([random.int(at), at])
  if (count > 2 && random.chance(0.3) && !pairs.some(([a, b]) => a === 0 && b === count - 1)) pairs.push([0, count - 1])
  return pairs.map(([a, b]) => (random.chance(0.5) ? [a, b] : [b, a]))
}

export const scenarioOf = (number: number, random: Stream): Scenario => {
  const isCrowd = number % crowds === crowds - 1
  const shape = isCrowd ? crowd : shapeOf(random.branch('shape'))
  const fate = random.branch('fate')
  const lying = !isCrowd && fate.chance(0.18)
  const honest = fate.unit()
  const replicas = isCrowd ? 2 : lying ? (honest < 0.6 ? 3 : 4) : honest < 0.6 ? 2 : honest < 0.85 ? 3 : 4
  const links = linksAmong(random.branch('links'), lying ? replicas - 1 : replicas)
  if (lying) {
    const liar = replicas - 1
    for (let at = 0; at < liar; at++)
      if (at === 0 || fate.chance(0.5)) links.push(fate.chance(0.5) ? [at, liar] : [liar, at])
  }
  const odd = random.branch('odd')
  const forked = !isCrowd && odd.chance(0.25)
  const mined = !isCrowd && odd.chance(0.1)
  const refusal = odd.unit()
  const filters = random.branch('filters')
  const meetings = random.branch('meetings')
  return {
    replicas,
    links,
    filtersAlone: links.map(() => [!isCrowd && filters.chance(0.12), !isCrowd && filters.chance(0.12)]),
    shape: {
      ...shape,
      forks: forked ? 1 + odd.int(4) : 0,
      branches: forked && odd.chance(0.1) ? 1_000 : 0,
      mined,
    },
    empty: !isCrowd && odd.chance(0.08) ? odd.int(replicas) : undefined,
    alike: mined && odd.chance(0.5),
    lies: lying ? odd.shuffle(lies).slice(0, 1 + odd.int(3)) : [],
    reforms: odd.chance(0.5),
    twice: odd.chance(0.1) ? 0.2 : 0,
    refusal:
      isCrowd || lying || refusal > 0.24
        ? 'none'
        : refusal < 0.07
          ? 'for good'
          : refusal < 0.12
            ? 'waits'
            : refusal < 0.18
              ? 'rate'
              : 'disk',
    meetings: isCrowd
      ? ['plain']
      : [
          ...Array.from({ length: meetings.int(4) }, () =>
            meetings.pick(['plain', 'plain', 'live', 'broken'] as const),
          ),
          'plain' as const,
        ],
    restores: meetings.chance(0.3) ? 0.4 : 0,
    hints: meetings.chance(0.6) ? 'right' : 'wrong',
  }
}
