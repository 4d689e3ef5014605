/**
 * Where everything stands in the picture of the mesh: this person in the middle, the server above, the others around. What leads through
 * the middle is bent, so that no line seems to begin or end at somebody it only passes.
 */
export interface Spot {
  readonly x: number
  readonly y: number
}

export const width = 440

const middle: Spot = { x: width / 2, y: 158 }
const reach: Spot = { x: 164, y: 104 }
/** How far a line that goes past the middle stays away from it. */
const clearance = 54

export interface Places {
  readonly me: Spot
  readonly server: Spot
  readonly others: readonly Spot[]
  /** Of everybody's circle. */
  readonly radius: number
  /** Of the picture, with room for a name below whoever stands lowest. */
  readonly height: number
}

const heightFor = (lowest: number): number => Math.ceil(lowest + 54)

/** The server has the first place of the ring, at the top, and `others` people follow clockwise. Where there is one, they make a triangle. */
export const placesOf = (others: number): Places => {
  if (others <= 1) {
    const low = middle.y + 40
    const alone = { me: { x: middle.x, y: low }, others: [] }
    const two = { me: { x: middle.x - 116, y: low }, others: [{ x: middle.x + 116, y: low }] }
    return {
      server: { x: middle.x, y: middle.y - 104 },
      radius: 20,
      height: heightFor(low),
      ...(others === 1 ? two : alone),
    }
  }
  const ring = (slot: number): Spot => {
    const angle = (slot / (others + 1)) * 2 * Math.PI - Math.PI / 2
    return { x: round(middle.x + Math.cos(angle) * reach.x), y: round(middle.y + Math.sin(angle) * reach.y) }
  }
  const around = Array.from({ length: others }, (_, index) => ring(index + 1))
  return {
    me: middle,
    server: ring(0),
    others: around,
    height: heightFor(Math.max(...around.map(({ y }) => y))),
    radius: others <= 8 ? 20 : others <= 14 ? 15 : 11,
  }
}

/** An SVG path between two places of the ring. */
export const bowOf = (from: Spot, to: Spot): string => {
  const half = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }
  const [dx, dy] = [half.x - middle.x, half.y - middle.y]
  const distance = Math.hypot(dx, dy)
  if (distance >= clearance) return `M${from.x} ${from.y}L${to.x} ${to.y}`
  const length = Math.hypot(to.x - from.x, to.y - from.y)
  // Two that face each other: to the side.
  const [x, y] = distance < 1 ? [(from.y - to.y) / length, (to.x - from.x) / length] : [dx / distance, dy / distance]
  const bend = { x: middle.x + x * clearance, y: middle.y + y * clearance }
  return `M${from.x} ${from.y}Q${round(2 * bend.x - half.x)} ${round(2 * bend.y - half.y)} ${to.x} ${to.y}`
}

/** Where on the way from one place to another something can be written. */
export const between = (from: Spot, to: Spot, part = 0.5): Spot => ({
  x: round(from.x + (to.x - from.x) * part),
  y: round(from.y + (to.y - from.y) * part),
})

const round = (value: number): number => Math.round(value * 10) / 10
