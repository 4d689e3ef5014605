/**
 * What a simulation must meet now and then, or it shows nothing about it. A counter that is still 0 after a full run means that the faults
 * no longer reach the code they were made for.
 */
export const sights = [
  'torn tail cut',
  'sync failed',
  'write failed',
  'short write',
  'disk full',
  'storing failed at the authority',
  'checkpoint after a storage failure',
  'opening failed',
  'opened by a snapshot',
  'commits behind a snapshot',
  'items of a snapshot',
  'crash with work under way',
  'orphan pool used',
  'a run of commits admitted',
  'a run waited for parents',
  'a gap noticed',
  'a malformed message refused',
  'altered content refused',
  'a forged signature refused',
  'a forged entry refused',
  'an offence told to the peer',
  'sums in a hello',
  'cursor in a hello',
  'cursor accepted',
  'sketch settled',
  'more sums',
  'Bloom false positive',
  'second round of a reconciliation',
  'exact filter',
  'rest without progress',
  'remote commit under a dirty draft',
  'transaction refused',
  'value refused by its field',
  'equal clocks at one item',
  'more than one head',
  'more than 16 heads',
  'item deleted',
  'item restored',
  'edit beside a deletion',
  'dead change',
  'text typed at once by two',
  'clock ahead holds a change',
  'direct channel used',
  'gossip told of a commit',
  'edited before login',
  'edited while the authority is away',
  'saved locally',
  'saved by the authority',
  'save refused with a reason',
] as const

/** The same for the worlds with traitors. */
export const byzantineSights = [
  'traitor: mutate',
  'traitor: honest',
  'traitor: old policy',
  'traitor: back-date',
  'traitor: equivocate',
  'traitor: evil merge',
  'traitor: mixed',
  'traitor: mine',
  'traitor: ahead',
  'traitor: unknown policy',
  'traitor: replay elsewhere',
  'traitor: forge',
  'traitor: withhold',
  'traitor: copy',
  'traitor: policy back',
  'change refused by the rules',
  'change that cannot be applied',
  'fence voided something',
  'revocation voided something',
  'revocation raced',
  'branch lost',
  'third branch',
  'founding raced',
  'verdict given',
  'rules changed',
  'key rotated',
  'member demoted while offline',
  'member removed while offline',
  'joined by invitation',
  'edit denied to its own author',
  'own work rejected',
  'a fork reported',
  'peers synced without the authority',
  'saved by the authority',
] as const

export type Sight = (typeof sights)[number] | (typeof byzantineSights)[number]

export class Coverage {
  readonly #expected: readonly Sight[]
  readonly counts: Map<Sight, number>

  constructor(expected: readonly Sight[] = sights) {
    this.#expected = expected
    this.counts = new Map(expected.map((sight) => [sight, 0]))
  }

  saw(sight: Sight, times = 1): void {
    this.counts.set(sight, (this.counts.get(sight) ?? 0) + times)
  }

  add(other: Coverage): void {
    for (const [sight, times] of other.counts) this.saw(sight, times)
  }

  /** What was never seen. */
  get missing(): Sight[] {
    return this.#expected.filter((sight) => this.counts.get(sight) === 0)
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries(this.counts)
  }
}
