/** The time as the page shows it: it moves every twenty seconds, and "2 minutes ago" with it. */
const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const steps: readonly [unit: Intl.RelativeTimeFormatUnit, milliseconds: number, short: string][] = [
  ['year', 31_536_000_000, 'y'],
  ['month', 2_592_000_000, 'mo'],
  ['day', 86_400_000, 'd'],
  ['hour', 3_600_000, 'h'],
  ['minute', 60_000, 'm'],
]

class Clock {
  now = $state(Date.now())

  constructor() {
    setInterval(() => {
      this.now = Date.now()
    }, 20_000)
  }
}

export const clock = new Clock()

/** "2 minutes ago"; under a minute, and for clocks that run ahead, "just now". */
export const ago = (time: number, now: number): string => {
  for (const [unit, milliseconds] of steps) {
    const count = Math.floor((now - time) / milliseconds)
    if (count > 0) return words.format(-count, unit)
  }
  return 'just now'
}

/** "2m", "3d", "now". */
export const agoShort = (time: number, now: number): string => {
  for (const [, milliseconds, short] of steps) {
    const count = Math.floor((now - time) / milliseconds)
    if (count > 0) return `${count}${short}`
  }
  return 'now'
}
