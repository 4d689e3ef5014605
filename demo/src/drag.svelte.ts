/**
 * Dragging cards and columns by pointer. A mouse drags after a few pixels, a finger after a short hold, so that a finger can still
 * scroll. The dragged element stays where it is until the drop; a likeness of it follows the pointer and a line shows where it
 * would go. Places are found by geometry from the `data-column` and `data-card` attributes of what is on the page.
 */
import type { Attachment } from 'svelte/attachments'

export type Kind = 'card' | 'column'

/** `index` counts without the dragged one. A column has its target in no column. */
export interface Target {
  readonly column: string
  readonly index: number
}

interface Options {
  readonly kind: Kind
  readonly key: string
  /** It stays where it is. */
  readonly fixed: boolean
  readonly drop: (target: Target) => void
}

interface Point {
  readonly x: number
  readonly y: number
}

const mouseSlop = 5
const fingerSlop = 10
const holdTime = 260
const edge = 56

class Drag {
  kind = $state<Kind>()
  key = $state<string>()
  target = $state<Target>()

  is(kind: Kind, key: string): boolean {
    return this.kind === kind && this.key === key
  }

  /** Whether the line stands before the item at `index` of this column's items, counted without the dragged one. */
  marks(kind: Kind, column: string, index: number): boolean {
    return this.kind === kind && this.target?.column === column && this.target.index === index
  }
}

export const drag = new Drag()

export const draggable =
  (options: () => Options): Attachment<HTMLElement> =>
  (node) => {
    let gesture: Gesture | undefined
    const down = (event: PointerEvent): void => {
      const { kind, key, fixed, drop } = options()
      if (fixed || gesture?.active || event.button !== 0 || !event.isPrimary || isControl(event.target, node)) return
      event.stopPropagation()
      gesture?.end()
      gesture = new Gesture(node, event, kind, key, drop)
    }
    // A browser decides at the first touchmove whether it scrolls, so this listener must be there before.
    const touch = (event: TouchEvent): void => {
      if (gesture?.active && event.cancelable) event.preventDefault()
    }
    const menu = (event: Event): void => {
      if (gesture?.byFinger) event.preventDefault()
    }
    node.addEventListener('pointerdown', down)
    node.addEventListener('touchmove', touch, { passive: false })
    node.addEventListener('contextmenu', menu)
    return () => {
      gesture?.end()
      node.removeEventListener('pointerdown', down)
      node.removeEventListener('touchmove', touch)
      node.removeEventListener('contextmenu', menu)
    }
  }

/** Controls keep their pointer; a text field only while one writes in it. */
const isControl = (target: EventTarget | null, node: HTMLElement): boolean => {
  if (!(target instanceof Element)) return true
  const control = target.closest('button, select, a, label, input, textarea')
  if (!control || !node.contains(control) || control === node) return false
  return control.matches('input:not([type=checkbox]), textarea') ? control === document.activeElement : true
}

/** From one press to its release. */
class Gesture {
  active = false
  readonly byFinger: boolean
  readonly #node: HTMLElement
  readonly #kind: Kind
  readonly #key: string
  readonly #drop: (target: Target) => void
  readonly #pointer: number
  readonly #start: Point
  readonly #listening = new AbortController()
  #at: Point
  #hold: ReturnType<typeof setTimeout> | undefined
  #likeness: HTMLElement | undefined
  #frame = 0

  constructor(node: HTMLElement, event: PointerEvent, kind: Kind, key: string, drop: (target: Target) => void) {
    this.#node = node
    this.#kind = kind
    this.#key = key
    this.#drop = drop
    this.#pointer = event.pointerId
    this.byFinger = event.pointerType === 'touch'
    this.#start = { x: event.clientX, y: event.clientY }
    this.#at = this.#start
    const { signal } = this.#listening
    addEventListener('pointermove', (move) => this.#move(move), { signal })
    addEventListener('pointerup', (up) => this.#release(up), { signal })
    addEventListener('pointercancel', () => this.end(), { signal })
    addEventListener('blur', () => this.end(), { signal })
    addEventListener('keydown', (press) => this.#press(press), { signal, capture: true })
    if (this.byFinger) this.#hold = setTimeout(() => this.#begin(), holdTime)
  }

  end(): void {
    clearTimeout(this.#hold)
    cancelAnimationFrame(this.#frame)
    this.#listening.abort()
    this.#likeness?.remove()
    this.#likeness = undefined
    if (!this.active) return
    this.active = false
    delete document.documentElement.dataset.dragging
    drag.kind = undefined
    drag.key = undefined
    drag.target = undefined
  }

  #move(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return
    this.#at = { x: event.clientX, y: event.clientY }
    if (this.active) {
      this.#follow()
      return
    }
    const distance = Math.hypot(this.#at.x - this.#start.x, this.#at.y - this.#start.y)
    if (this.byFinger && distance > fingerSlop) this.end()
    else if (!this.byFinger && distance > mouseSlop) this.#begin()
  }

  #release(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return
    const target = this.active ? drag.target : undefined
    if (this.active) swallowClick()
    this.end()
    if (target) this.#drop(target)
  }

  #press(event: KeyboardEvent): void {
    if (!this.active || event.key !== 'Escape') return
    event.preventDefault()
    event.stopPropagation()
    this.end()
  }

  #begin(): void {
    this.active = true
    document.documentElement.dataset.dragging = this.#kind
    if (this.byFinger) navigator.vibrate?.(8)
    const box = this.#node.getBoundingClientRect()
    this.#likeness = likenessOf(this.#node, box)
    document.body.append(this.#likeness)
    drag.kind = this.#kind
    drag.key = this.#key
    this.#follow()
    this.#frame = requestAnimationFrame(() => this.#scroll())
  }

  #follow(): void {
    if (!this.#likeness) return
    this.#likeness.style.translate = `${this.#at.x - this.#start.x}px ${this.#at.y - this.#start.y}px`
    const target = this.#kind === 'card' ? cardTarget(this.#at, this.#key) : columnTarget(this.#at, this.#key)
    if (target?.column !== drag.target?.column || target?.index !== drag.target?.index) drag.target = target
  }

  #scroll(): void {
    for (const scroller of document.querySelectorAll<HTMLElement>('[data-scrolls]')) {
      const box = scroller.getBoundingClientRect()
      const inside = this.#at.x > box.left - edge && this.#at.x < box.right + edge
      if (scroller.dataset.scrolls === 'x') scroller.scrollLeft += pace(this.#at.x, box.left, box.right)
      else if (inside && this.#kind === 'card') scroller.scrollTop += pace(this.#at.y, box.top, box.bottom)
    }
    this.#follow()
    this.#frame = requestAnimationFrame(() => this.#scroll())
  }
}

/** Pixels to scroll in one frame: none in the middle, faster towards an end. */
const pace = (at: number, start: number, end: number): number => {
  if (at < start + edge) return -Math.min(10, (start + edge - at) / 4)
  if (at > end - edge) return Math.min(10, (at - end + edge) / 4)
  return 0
}

const likenessOf = (node: HTMLElement, box: DOMRect): HTMLElement => {
  const copy = node.cloneNode(true)
  if (!(copy instanceof HTMLElement)) throw new Error('an element is copied as an element')
  const written = node.querySelectorAll('textarea')
  copy.querySelectorAll('textarea').forEach((field, at) => {
    field.value = written[at]?.value ?? ''
  })
  for (const part of [copy, ...copy.querySelectorAll('*')]) {
    for (const name of ['id', 'data-testid', 'data-card', 'data-column', 'data-scrolls', 'tabindex', 'name'])
      part.removeAttribute(name)
  }
  copy.inert = true
  copy.setAttribute('aria-hidden', 'true')
  copy.classList.add('likeness')
  Object.assign(copy.style, {
    position: 'fixed',
    left: `${box.left}px`,
    top: `${box.top}px`,
    width: `${box.width}px`,
    height: `${box.height}px`,
  })
  return copy
}

const elementsOf = (parent: ParentNode, attribute: string, without: string): HTMLElement[] =>
  [...parent.querySelectorAll<HTMLElement>(`[${attribute}]`)].filter((node) => node.getAttribute(attribute) !== without)

const cardTarget = (at: Point, key: string): Target | undefined => {
  let nearest: { column: HTMLElement; distance: number } | undefined
  for (const column of elementsOf(document, 'data-column', '')) {
    const box = column.getBoundingClientRect()
    const distance = Math.max(box.left - at.x, at.x - box.right, 0)
    if (!nearest || distance < nearest.distance) nearest = { column, distance }
  }
  if (!nearest) return undefined
  const cards = elementsOf(nearest.column, 'data-card', key)
  const index = cards.filter((card) => middle(card).y < at.y).length
  return { column: nearest.column.dataset.column ?? '', index }
}

const columnTarget = (at: Point, key: string): Target => {
  const columns = elementsOf(document, 'data-column', key)
  return { column: '', index: columns.filter((column) => middle(column).x < at.x).length }
}

const middle = (node: HTMLElement): Point => {
  const box = node.getBoundingClientRect()
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 }
}

/** The click that follows the release belongs to the drag. */
const swallowClick = (): void => {
  const swallow = (event: Event): void => {
    event.preventDefault()
    event.stopPropagation()
  }
  addEventListener('click', swallow, { capture: true, once: true })
  setTimeout(() => removeEventListener('click', swallow, { capture: true }))
}
