import { expect, test } from 'vitest'
import { browserWake, wakeOf } from './wake.ts'

test('coming online and being looked at are hints, being hidden is none, and a stopped wake is silent', () => {
  const device = new EventTarget()
  const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' })
  let hints = 0
  const stop = wakeOf({ device, page })(() => {
    hints += 1
  })
  device.dispatchEvent(new Event('offline'))
  page.dispatchEvent(new Event('visibilitychange'))
  expect(hints).toBe(0)
  device.dispatchEvent(new Event('online'))
  expect(hints).toBe(1)
  page.visibilityState = 'visible'
  page.dispatchEvent(new Event('visibilitychange'))
  expect(hints).toBe(2)
  stop()
  device.dispatchEvent(new Event('online'))
  page.dispatchEvent(new Event('visibilitychange'))
  expect(hints).toBe(2)
})

test('where there is neither device nor page, there are no hints', () => {
  expect(() => browserWake(() => undefined)()).not.toThrow()
})
