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
  'crash with work under way',
  'orphan pool used',
  'a gap noticed',
  'a malformed message refused',
  'altered content refused',
  'a forged signature refused',
  'a forged entry refused',
  'an offence told to the peer',
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
  'edited before login',
  'edited while the authority is away',
  'saved locally',
  'saved by the authority',
  'save refused with a reason',
] as const

export type Sight = (typeof sights)[number]

export class Coverage {
  readonly counts = new Map<Sight, number>(sights.map((sight) => [sight, 0]))

  saw(sight: Sight, times = 1): void {
    this.counts.set(sight, (this.counts.get(sight) ?? 0) + times)
  }

  add(other: Coverage): void {
    for (const [sight, times] of other.counts) this.saw(sight, times)
  }

  /** What was never seen. */
  get missing(): Sight[] {
    return sights.filter((sight) => this.counts.get(sight) === 0)
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries(this.counts)
  }
}
