/**
 * Members that are left alone for a while because an attempt with them failed: the oftener in a row, the longer, with jitter, so that those who
 * failed together do not come again together. It forgets the oldest beyond `limits.meshShunned`.
 */
import { limits } from '../bytes/limits.ts'
import type { Surroundings } from './around.ts'

/** `pause`: ms after the first time; it doubles up to `most`. Without doubling the two are the same. */
interface Pause {
  readonly pause: number
  readonly most: number
}

export const pauses = {
  /** No room there; there may be soon. */
  busy: { pause: 3_000, most: 12_000 },
  /** Ended in words, or died: back at once at the earliest when it is introduced again. */
  dropped: { pause: 8_000, most: 8_000 },
  gone: { pause: 1_000, most: 1_000 },
  unanswered: { pause: 4_000, most: 300_000 },
  /** What stands between two members seldom goes away within minutes. */
  unreachable: { pause: 15_000, most: 600_000 },
  distrusted: { pause: 3_600_000, most: 3_600_000 },
} as const satisfies Record<string, Pause>

interface Shun {
  readonly times: number
  readonly until: number
  readonly distrusted: boolean
}

export class Shunned {
  readonly #bySession = new Map<string, Shun>()

  get size(): number {
    return this.#bySession.size
  }

  has(session: string, now: number): boolean {
    const shun = this.#bySession.get(session)
    return shun !== undefined && shun.until > now
  }

  distrusts(session: string, now: number): boolean {
    return this.#bySession.get(session)?.distrusted === true && this.has(session, now)
  }

  add(session: string, why: keyof typeof pauses, { now, random }: Surroundings): void {
    const before = this.#bySession.get(session)
    if (before?.distrusted === true && before.until > now && why !== 'distrusted') return
    const { pause, most } = pauses[why]
    const times = (before?.times ?? 0) + 1
    const longest = Math.min(most, pause * 2 ** Math.min(times - 1, 20))
    this.#bySession.delete(session)
    this.#bySession.set(session, {
      times,
      until: now + longest / 2 + random(Math.ceil(longest / 2) + 1),
      distrusted: why === 'distrusted',
    })
    for (const oldest of this.#bySession.keys()) {
      if (this.#bySession.size <= limits.meshShunned) return
      this.#bySession.delete(oldest)
    }
  }

  /** A link with it came about. */
  forgive(session: string): void {
    this.#bySession.delete(session)
  }
}
