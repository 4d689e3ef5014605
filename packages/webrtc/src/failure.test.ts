import type { PathFailure } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { detailOf, failureOf, type Sight, unseen } from './failure.ts'

const host = { gathering: true, gathered: new Set(['host']) }
const met = { ...host, answered: true, heard: 3 }
const relayed = { complete: true, gathering: true, gathered: new Set(['host', 'relay']), answered: true, turn: true }
const lone = { gathering: true, complete: true, relayOnly: true, turn: true }

test.each<[seen: string, sight: Partial<Sight>, kind: PathFailure['kind']]>([
  ['no WebRTC', { supported: false }, 'unsupported'],
  ['nothing, and the other end was silent', {}, 'no answer'],
  ['an offer went out, and the other end was silent', host, 'no answer'],
  ['the same, with a TURN server that works', { ...relayed, answered: false }, 'no answer'],
  ['what came was refused', { ...host, refused: true }, 'refused'],
  ['the platform refused the description', { ...host, answered: true, refused: true, died: true }, 'refused'],
  ['a stray signal was refused, and the way was blocked', { ...met, refused: true }, 'no TURN'],
  ['no interface', { gathering: true, answered: true, heard: 2 }, 'no candidates'],
  ['no interface and no answer', { gathering: true }, 'no candidates'],
  ['no way, no TURN server', met, 'no TURN'],
  ['no way, and none by the relay', relayed, 'blocked'],
  ['no way, and a TURN server that gave nothing and no error', { ...met, turn: true, complete: true }, 'blocked'],
  ['no way, and a TURN server that is still silent', { ...met, turn: true }, 'TURN unreachable'],
  ['relays only, and the server is still silent', { ...lone, complete: false }, 'TURN unreachable'],
  ['no way, TURN refused the credentials', { ...met, turn: true, turnErrors: new Set([401]) }, 'bad credentials'],
  ['no way, TURN did not answer', { ...met, turn: true, turnErrors: new Set([701]) }, 'TURN unreachable'],
  ['one of two TURN servers did not answer', { ...relayed, turnErrors: new Set([701]) }, 'blocked'],
  ['one refused, another did not answer', { ...met, turn: true, turnErrors: new Set([701, 401]) }, 'bad credentials'],
  ['relays only, and none is named', { ...lone, turn: false }, 'no TURN'],
  ['relays only, credentials refused', { ...lone, turnErrors: new Set([401]) }, 'bad credentials'],
  ['relays only, none answered', { ...lone, turnErrors: new Set([701]) }, 'TURN unreachable'],
  ['relays only, nothing seen', lone, 'no candidates'],
  ['relays only, another error', { ...lone, turnErrors: new Set([486]) }, 'no candidates'],
  ['a way, and then it ended', { ...met, connected: true, died: true }, 'broke'],
  ['a way, and then nothing more', { ...met, connected: true }, 'broke'],
  ['it ended before', { ...met, died: true }, 'broke'],
])('%s', (_, sight, kind) => {
  expect(failureOf({ ...unseen(), ...sight })).toBe(kind)
})

test('the detail says what was seen', () => {
  const sight = { ...unseen(), ...relayed, heard: 3, turnErrors: new Set([701]) }
  expect(detailOf(sight, 'said')).toBe(
    'said; own candidates: host, relay; the other end: 3 candidates; TURN errors: 701',
  )
  expect(detailOf(unseen(), 'said')).toBe('said; own candidates: none; the other end: silent')
})
