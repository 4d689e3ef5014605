/** Lines as a person reads them: a block for each case, engines below each other, what is over its limit marked. */
import type { Line } from './figure.ts'

const number = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 3 })

const standing = ({ value, limit }: Line): string =>
  limit === undefined ? '' : `${value <= limit ? 'within' : 'OVER'} ${number(limit)}`

const ratio = ({ ratioToBaseline, baseline, ratioToBest, bestPeer }: Line): string =>
  ratioToBaseline !== undefined
    ? `${number(ratioToBaseline)}x ${baseline}`
    : ratioToBest !== undefined
      ? `${number(ratioToBest)}x ${bestPeer}`
      : ''

/** Cases in the order they were first met, and in a case its metrics. */
const grouped = (lines: readonly Line[]): Line[] => {
  const places = new Map<string, number>()
  for (const { area, case: name, metric } of lines)
    for (const key of [`${area}/${name}`, `${area}/${name}/${metric}`])
      if (!places.has(key)) places.set(key, places.size)
  const place = (key: string): number => places.get(key) ?? 0
  return lines.toSorted(
    (a, b) =>
      place(`${a.area}/${a.case}`) - place(`${b.area}/${b.case}`) ||
      place(`${a.area}/${a.case}/${a.metric}`) - place(`${b.area}/${b.case}/${b.metric}`),
  )
}

export const tableOf = (unordered: readonly Line[]): string => {
  const lines = grouped(unordered)
  const rows = lines.map((line) => [
    line.metric,
    line.engine,
    number(line.value),
    line.unit,
    ratio(line),
    standing(line),
  ])
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)))
  const text: string[] = []
  let block = ''
  for (const [index, line] of lines.entries()) {
    const name = `${line.area}: ${line.case}`
    if (name !== block) text.push(...(block === '' ? [] : ['']), name)
    block = name
    const cells = (rows[index] ?? []).map((cell, column) =>
      column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
    text.push(`  ${cells.join('  ').trimEnd()}`)
  }
  return text.join('\n')
}
