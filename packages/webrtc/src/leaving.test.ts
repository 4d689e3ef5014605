import { expect, test } from 'vitest'
import { browserLeaving, leavingOf } from './leaving.ts'

test('leaving the page and freezing it are told, returning is not, and nothing after the end of listening', () => {
  const [device, page] = [new EventTarget(), new EventTarget()]
  const told: string[] = []
  const stop = leavingOf({ device, page })((reason) => void told.push(reason))
  device.dispatchEvent(new Event('pageshow'))
  page.dispatchEvent(new Event('resume'))
  expect(told).toEqual([])
  page.dispatchEvent(new Event('freeze'))
  device.dispatchEvent(new Event('pagehide'))
  expect(told).toEqual(['the page was frozen', 'the page was left'])
  stop()
  page.dispatchEvent(new Event('freeze'))
  device.dispatchEvent(new Event('pagehide'))
  expect(told.length).toBe(2)
})

test('where there is neither device nor page, nothing is told', () => {
  expect(() => browserLeaving(() => undefined)()).not.toThrow()
})
