/**
 * Incidents as an operator meets them: counted by code, and a line about the first of a code, then at most one a minute. Strangers cause
 * them and choose some of their text, so lines neither pile up nor carry control characters.
 */
import type { Code, Incident } from '@weft-db/engine'

/** Between two lines about one code, ms. */
const quiet = 60_000
const longest = 400

export class IncidentLog {
  readonly #log: ((line: string) => void) | undefined
  readonly #now: () => number
  readonly #counts = new Map<Code | 'Fault', number>()
  readonly #told = new Map<Code | 'Fault', { at: number; count: number }>()

  /** `now`: a monotonic clock, ms. */
  constructor(log?: (line: string) => void, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  get counts(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }

  add({ code, message, repository }: Incident): void {
    this.#add(code, `${code}${repository === undefined ? '' : ` in ${repository}`}: ${message}`)
  }

  /** A throw that nobody expected: a bug, here or below. */
  fault(error: unknown): void {
    this.#add('Fault', `Fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }

  #add(code: Code | 'Fault', line: string): void {
    const count = (this.#counts.get(code) ?? 0) + 1
    this.#counts.set(code, count)
    const told = this.#told.get(code)
    const now = this.#now()
    if (told !== undefined && now - told.at < quiet) return
    this.#told.set(code, { at: now, count })
    const missed = told === undefined ? 0 : count - told.count - 1
    this.#log?.(`${printable(line)}${missed > 0 ? ` (and ${missed} more since the last line)` : ''}`)
  }
}

const printable = (line: string): string => line.slice(0, longest).replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
