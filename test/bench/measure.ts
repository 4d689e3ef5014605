/**
 * How figures are made: engines take turns, round by round, so that whatever else the machine does meets all of them, and a figure is
 * the median of its rounds. CPU is the whole process's, collector and thread pool included.
 */

/** Linear between the two nearest values; 0 is the least of them, 1 the greatest. */
export const quantile = (values: readonly number[], at: number): number => {
  if (values.length === 0) throw new RangeError('a quantile of nothing')
  const sorted = values.toSorted((a, b) => a - b)
  const place = at * (sorted.length - 1)
  const below = sorted[Math.floor(place)] ?? 0
  const above = sorted[Math.ceil(place)] ?? below
  return below + (above - below) * (place - Math.floor(place))
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Processor time of this process since it began, user and system, µs. */
export const cpuTime = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Processor time of a synchronous run, µs. */
export const cpuOf = (run: () => void): number => {
  const began = cpuTime()
  run()
  return cpuTime() - began
}

export const cpuOfAsync = async (run: () => Promise<void>): Promise<number> => {
  const began = cpuTime()
  await run()
  return cpuTime() - began
}

/** So many rounds of A B C A B C ...; every other round backwards, so that nobody always follows the same neighbour. */
export const interleaved = async <Result>(
  rounds: number,
  engines: ReadonlyMap<string, (round: number) => Result | Promise<Result>>,
): Promise<Map<string, Result[]>> => {
  const results = new Map<string, Result[]>([...engines.keys()].map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    const turn = [...engines]
    if (round % 2 === 1) turn.reverse()
    for (const [name, run] of turn) results.get(name)?.push(await run(round))
  }
  return results
}

/** Heap and what hangs on it, bytes, after a full collection. Needs `--expose-gc`. */
export const heldBytes = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
