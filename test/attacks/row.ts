/**
 * A row of the attack catalogue as a program: it attacks the engine `trials` times and counts what got through. A violation is something
 * that was seen happen on a real replica or server, and a row that could not even carry out its attack throws.
 */
export interface Outcome {
  /** Attacks carried out. */
  readonly trials: number
  /** Attacks that got through. */
  readonly violations: number
  /** What was measured besides. */
  readonly [figure: string]: number | string
}

export type Row = (attack: { readonly trials: number; readonly seed: string }) => Promise<Outcome>

/** What must hold or the attack showed nothing: an honest commit beside it is taken, a clock moved. Said only where nothing got through. */
export const mustHold = (holds: boolean, what: string, violations: number): void => {
  if (!holds && violations === 0) throw new Error(`the attack shows nothing: ${what}`)
}
