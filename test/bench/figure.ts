/** What an area measures, and the lines that come of it: Weft's own carry the limit to keep and how they stand beside the others. */

export type Role =
  /** Ours. */
  | 'weft'
  /** What cannot be had for less: the same bytes and signatures without a database. */
  | 'baseline'
  /** Another database, to be compared with. */
  | 'peer'
  /** Printed for information. */
  | 'note'

export interface Figure {
  readonly area: string
  readonly case: string
  readonly engine: string
  readonly role: Role
  readonly metric: string
  /** Less is better. */
  readonly value: number
  readonly unit: string
  /** At most this, in the figure's unit. */
  readonly limit?: number
  /** At most so many times the baseline. */
  readonly timesBaseline?: number
  /** Less than the best peer. */
  readonly aheadOfBest?: boolean
}

export interface Line {
  readonly area: string
  readonly case: string
  readonly engine: string
  readonly metric: string
  readonly value: number
  readonly unit: string
  readonly limit?: number
  readonly ratioToBaseline?: number
  readonly baseline?: string
  readonly ratioToBest?: number
  readonly bestPeer?: string
}

/** Three digits that mean something; whole numbers stay as they are. */
const rounded = (value: number): number =>
  Number.isInteger(value) ? value : Number(value.toPrecision(Math.abs(value) >= 1000 ? 5 : 3))

const least = (figures: readonly Figure[]): Figure | undefined =>
  figures.reduce<Figure | undefined>(
    (best, one) => (best === undefined || one.value < best.value ? one : best),
    undefined,
  )

/**
 * One line a figure. A limit that is a multiple of the baseline, or the best peer itself, is told in the figure's own unit, so that
 * `value <= limit` is the whole question.
 */
export const linesOf = (figures: readonly Figure[]): Line[] =>
  figures.map((figure) => {
    const { area, case: name, engine, metric, value, unit } = figure
    const line: Line = { area, case: name, engine, metric, value: rounded(value), unit }
    if (figure.role !== 'weft') return line
    const beside = figures.filter((one) => one.area === area && one.case === name && one.metric === metric)
    const baseline = least(beside.filter(({ role }) => role === 'baseline'))
    const best = least(beside.filter(({ role }) => role === 'peer'))
    const limits = [
      figure.limit,
      figure.timesBaseline !== undefined && baseline ? figure.timesBaseline * baseline.value : undefined,
      figure.aheadOfBest && best ? best.value : undefined,
    ].filter((limit) => limit !== undefined)
    return {
      ...line,
      ...(limits.length > 0 && { limit: rounded(Math.min(...limits)) }),
      ...(baseline && baseline.value > 0
        ? { ratioToBaseline: rounded(value / baseline.value), baseline: baseline.engine }
        : best && best.value > 0 && { ratioToBest: rounded(value / best.value), bestPeer: best.engine }),
    }
  })
