/**
 * How many links a replica wants. Up to `few` members are all linked with each other. Where there are more, what counts is a sudden death of
 * 30 % while the server is away: then whoever lost all its links has nobody left who could relay a signal, and stays alone. Of n members with d links each, so many
 * are expected to survive alone:
 *
 *     alone(n, d) = 0.7 n * 0.3^d
 *
 *     n        31     104    348    1,161  3,870  12,902
 *     d        6      7      8      9      10     11
 *     alone    0.016  0.016  0.016  0.016  0.016  0.016
 *
 * `wantedLinks` is the smallest d from `least` on that keeps it below one in sixty such deaths. Since d is what everybody has at least, and one
 * or two links more are usual, about a quarter of that comes true.
 */
import { limits } from '../bytes/limits.ts'

/** Others that are all linked with. */
export const few = 8
const least = 6
const most = 12
const dying = 0.3
const alone = 0.016

/** `members`: how many others are here, as the server told. */
export const wantedLinks = (members: number): number => {
  if (members <= few) return members
  let links = least
  for (let left = (1 - dying) * members * dying ** least; left > alone && links < most; left *= dying) links++
  return links
}

/** Links and attempts together: what is beyond the wanted is room for those who ask. */
export const mostLinks = (members: number): number =>
  Math.min(limits.meshLinks, Math.max(few, wantedLinks(members)) + 4)
