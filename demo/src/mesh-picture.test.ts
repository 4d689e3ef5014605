import { describe, expect, it } from 'vitest'
import { bowOf, placesOf, type Spot, width } from './mesh-picture.ts'

const apart = (a: Spot, b: Spot): number => Math.hypot(a.x - b.x, a.y - b.y)

/** Points on a path of one straight or one quadratic piece. */
const pointsOf = (path: string): Spot[] => {
  const [x1 = 0, y1 = 0, ...rest] = (path.match(/-?[\d.]+/g) ?? []).map(Number)
  const [x2 = 0, y2 = 0] = rest.slice(-2)
  const [cx = 0, cy = 0] = rest.length === 4 ? rest : [(x1 + x2) / 2, (y1 + y2) / 2]
  return Array.from({ length: 41 }, (_, step) => {
    const t = step / 40
    const at = (from: number, bend: number, to: number): number =>
      from * (1 - t) ** 2 + 2 * bend * t * (1 - t) + to * t ** 2
    return { x: at(x1, cx, x2), y: at(y1, cy, y2) }
  })
}

const counts = Array.from({ length: 21 }, (_, index) => index)

describe('the picture of the mesh', () => {
  it.each(counts)('keeps %d others apart from each other and inside', (count) => {
    const { me, server, others, radius, height } = placesOf(count)
    const all = [me, server, ...others]
    for (const [index, spot] of all.entries()) {
      expect(spot.x).toBeGreaterThan(radius)
      expect(spot.x).toBeLessThan(width - radius)
      expect(spot.y).toBeGreaterThan(radius)
      expect(spot.y).toBeLessThan(height - radius - 20)
      for (const other of all.slice(index + 1)) expect(apart(spot, other)).toBeGreaterThan(2 * radius)
    }
    expect(server.y).toBeLessThan(me.y)
  })

  it.each(counts)('leads no line between two of %d through the middle', (count) => {
    const { me, server, others } = placesOf(count)
    const ring = [server, ...others]
    for (const [index, from] of ring.entries()) {
      for (const to of ring.slice(index + 1)) {
        const path = bowOf(from, to)
        expect(path).toMatch(/^M[-\d.]+ [-\d.]+[LQ][-\d. ]+$/)
        const points = pointsOf(path)
        expect([apart(points[0] ?? me, from), apart(points.at(-1) ?? me, to)]).toEqual([0, 0])
        for (const point of points) expect(apart(point, me), path).toBeGreaterThan(30)
      }
    }
  })
})
