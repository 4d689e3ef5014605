import type { Runtime } from './ports.ts'

/** A whole number from 0 to below `end`, and 0 for an end of 0. Of 2^32 values some stand for one more than others: chance is enough here. */
export const wholeNumber = (runtime: Runtime, end: number): number => {
  const [a = 0, b = 0, c = 0, d = 0] = runtime.random(4)
  return end === 0 ? 0 : (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) % end
}
