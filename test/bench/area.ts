/** What the bench can measure. */
import type { Figure } from './figure.ts'

export interface Settings {
  /** Smaller numbers and fewer rounds: shows that all of it runs, and the rough size of the ratios. */
  readonly quick: boolean
  /** The trace of the area `text`. */
  readonly trace: string
}

export type Area = (settings: Settings) => Promise<Figure[]>
