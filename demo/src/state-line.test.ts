import { describe, expect, it } from 'vitest'
import { needsToSettle, type Status, stateLineOf } from './state-line.ts'

const status = (change: Partial<Status>): Status => ({
  connection: 'online',
  storage: 'indexeddb',
  storageReason: undefined,
  unsaved: 0,
  unacknowledged: 0,
  authStale: undefined,
  problem: undefined,
  ...change,
})

describe('the state line', () => {
  it('calls saved by the server only what the server has acknowledged', () => {
    expect(stateLineOf(status({})).text).toBe('Saved on the server')
    expect(stateLineOf(status({ unacknowledged: 1 })).text).toBe('Saved on this device, waiting for the server')
    expect(stateLineOf(status({ unsaved: 1, unacknowledged: 1 })).text).toBe('Saving…')
    expect(stateLineOf(status({ connection: 'connecting' })).text).toBe('Connecting to the server…')
  })

  it('speaks of saving only where something was written', () => {
    expect(stateLineOf(status({}), 0, true)).toEqual({ tone: 'saved', text: 'Connected', waiting: 0 })
    expect(stateLineOf(status({ unacknowledged: 1 }), 0, true).text).toContain('waiting for the server')
    expect(stateLineOf(status({ connection: 'offline' }), 0, true).tone).toBe('offline')
  })

  it('goes up only when it has settled, but shows the first connection at once', () => {
    const [saved, kept] = [stateLineOf(status({})), stateLineOf(status({ unacknowledged: 1 }))]
    const connecting = stateLineOf(status({ connection: 'connecting' }))
    expect(needsToSettle(kept, saved)).toBe(true)
    expect(needsToSettle(stateLineOf(status({ unsaved: 1 })), saved)).toBe(true)
    expect(needsToSettle(saved, kept)).toBe(false)
    expect(needsToSettle(saved, saved)).toBe(false)
    expect(needsToSettle(connecting, saved)).toBe(false)
  })

  it('says that nobody brings news of the server, where others are here without it', () => {
    const away = { connection: 'offline', authStale: { heard: 1, from: undefined } } as const
    expect(stateLineOf(status(away), 0, false, 2).text).toBe('No news from the server')
    expect(stateLineOf(status({ ...away, authStale: undefined }), 0, false, 2).text).toContain('Without the server')
  })

  it('says that a refused value is not being saved', () => {
    expect(stateLineOf(status({ unsaved: 1 }), 1).text).toBe('One card is not saved')
    expect(stateLineOf(status({ unsaved: 2 }), 2).text).toBe('2 cards are not saved')
    expect(stateLineOf(status({ unsaved: 2 }), 1).text).toBe('Saving…')
    const problem = { code: 'DiskFull', message: '' } as const
    expect(stateLineOf(status({ unsaved: 1, problem })).text).toBe('Not saved on this device yet')
    expect(stateLineOf(status({ problem })).text).toBe('Saved on the server')
  })

  it('says when the server is away, and how much waits for it', () => {
    expect(stateLineOf(status({ connection: 'offline', unacknowledged: 3 }))).toEqual({
      tone: 'offline',
      text: 'Offline: changes are kept on this device',
      waiting: 3,
    })
  })

  it('says who is still connected while the server is away, and nothing of it while the server is there', () => {
    const away = status({ connection: 'offline', unacknowledged: 2 })
    expect(stateLineOf(away, 0, false, 3)).toEqual({
      tone: 'offline',
      text: 'Without the server: 3 people connected directly',
      waiting: 2,
    })
    expect(stateLineOf(away, 1, false, 1).text).toBe('Without the server: 1 person connected directly')
    expect(stateLineOf(status({}), 0, false, 3).text).toBe('Saved on the server')
  })

  it('never claims the device keeps what is in memory alone', () => {
    for (const connection of ['online', 'offline', 'connecting'] as const) {
      const { text } = stateLineOf(status({ storage: 'memory', connection, unacknowledged: 1 }))
      expect(text).not.toContain('device')
      expect(text).toContain('tab')
    }
  })
})
