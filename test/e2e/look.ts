/** What can be measured of how a page looks and is told to a screen reader. */
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** Where the pictures are, for whoever wants to see them. */
const output = fileURLToPath(new URL('output/', import.meta.url))

declare global {
  var violations: string[]
  /** What Tab has come to. */
  var visited: Set<Element>
}

/** Takes the picture, and holds the page to what every state promises. */
export const look = async (page: Page, state: string, readable: readonly string[]): Promise<void> => {
  await mkdir(output, { recursive: true })
  await page.screenshot({ path: `${output}${state}.png`, animations: 'disabled' })
  expect(await overflowOf(page), state).toEqual({ pixels: 0, elements: [] })
  expect(await violationsOf(page), state).toEqual([])
  const { nameless, looked } = await namelessOf(page)
  expect(nameless, state).toEqual([])
  expect(looked, state).toBeGreaterThan(0)
  for (const selector of readable)
    expect(await contrastOf(page, selector), `${state} ${selector}`).toBeGreaterThanOrEqual(4.5)
}

const sizes = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const

/** The same on a screen and on a phone, light and dark; the page ends as it began. */
export const lookAllWays = async (page: Page, state: string, readable: readonly string[]): Promise<void> => {
  const before = page.viewportSize()
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await look(page, `${size}-${colorScheme}-${state}`, readable)
    }
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  if (before !== null) await page.setViewportSize(before)
}

/** Call before the page's first address: from then on it remembers what its Content-Security-Policy refused. */
export const watchPolicy = async (page: Page): Promise<void> => {
  await page.addInitScript(() => {
    globalThis.violations = []
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      violations.push(`${violatedDirective} ${blockedURI}`)
    })
  })
}

export const violationsOf = (page: Page): Promise<string[]> => page.evaluate(() => globalThis.violations)

/** By how many pixels the page is wider than its window, and what sticks out (where nothing around it scrolls or clips). */
export const overflowOf = (page: Page): Promise<{ pixels: number; elements: string[] }> =>
  page.evaluate(() => {
    const root = document.documentElement
    const isClipped = (node: Element): boolean => {
      for (let outer = node.parentElement; outer !== null; outer = outer.parentElement) {
        if (getComputedStyle(outer).overflowX !== 'visible') return true
      }
      return false
    }
    const elements = [...document.querySelectorAll('body *')].filter((node) => {
      const box = node.getBoundingClientRect()
      return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && !isClipped(node)
    })
    return {
      pixels: root.scrollWidth - innerWidth,
      elements: elements.map((node) => `${node.tagName}.${node.className} ${node.getBoundingClientRect().right}`),
    }
  })

/** WCAG 2 contrast of an element's text with what is painted behind it; 1 to 21. */
export const contrastOf = (page: Page, selector: string): Promise<number> =>
  page
    .locator(selector)
    .first()
    .evaluate((node) => {
      const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', {
        willReadFrequently: true,
      })
      if (pen === null) throw new Error('no canvas')
      const paint = (colour: string): number => {
        pen.fillStyle = colour
        pen.fillRect(0, 0, 1, 1)
        const [red = 0, green = 0, blue = 0] = [...pen.getImageData(0, 0, 1, 1).data].map((value) => {
          const part = value / 255
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
        })
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
      }
      const around: Element[] = []
      for (let outer: Element | null = node; outer !== null; outer = outer.parentElement) around.unshift(outer)
      let behind = paint('white')
      for (const outer of around) behind = paint(getComputedStyle(outer).backgroundColor)
      const text = paint(getComputedStyle(node).color)
      return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)
    })

const interactive = new Set(
  'button link textbox searchbox checkbox radio combobox listbox option menuitem slider spinbutton switch tab'.split(
    ' ',
  ),
)

/** What can be operated and has no name, as the browser computes them for a screen reader; and how many were looked at. */
export const namelessOf = async (page: Page): Promise<{ nameless: string[]; looked: number }> => {
  const session = await page.context().newCDPSession(page)
  const { nodes } = await session.send('Accessibility.getFullAXTree')
  await session.detach()
  const operated = nodes.filter(({ ignored, role }) => !ignored && interactive.has(String(role?.value)))
  const nameless = operated.filter(({ name }) => String(name?.value ?? '').trim() === '')
  return {
    nameless: nameless.map(({ role, backendDOMNodeId }) => `${role?.value} ${backendDOMNodeId}`),
    looked: operated.length,
  }
}

/** Goes through the page with Tab, and names what shows no outline when it has the focus; and how many were gone to. */
export const unfocusedOf = async (page: Page, most = 60): Promise<{ invisible: string[]; reached: number }> => {
  const invisible = new Set<string>()
  let reached = 0
  await page.evaluate(() => {
    globalThis.visited = new Set()
  })
  for (let step = 0; step < most; step++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(() => {
      const active = document.activeElement
      if (active === null || active === document.body || visited.has(active)) return undefined
      visited.add(active)
      const outlined = (node: Element): boolean => {
        const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(node)
        return outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 1 && outlineColor !== 'rgba(0, 0, 0, 0)'
      }
      let visible = false
      let outer: Element | null = active
      for (let level = 0; level < 6 && outer !== null; level++, outer = outer.parentElement) visible ||= outlined(outer)
      const name = active.getAttribute('data-testid') ?? active.getAttribute('aria-label') ?? active.className
      return { visible, name: `${active.tagName.toLowerCase()} ${name}` }
    })
    if (at === undefined) break
    reached++
    if (!at.visible) invisible.add(at.name)
  }
  return { invisible: [...invisible], reached }
}
