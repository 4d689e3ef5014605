import { describe, expect, it } from 'vitest'
import { diagnose, type Trouble } from './diagnose.ts'
import type { Path } from './mesh.ts'
import type { PathFailure } from './ports.ts'

const broken = (kind: PathFailure['kind'], detail = 'Ice connection failed.'): PathFailure => ({ kind, detail })

const rows: readonly (readonly [Trouble, Path['failure'], RegExp, RegExp])[] = [
  ['no TURN', broken('no TURN'), /no TURN server/, /Name a TURN server/],
  ['bad credentials', broken('bad credentials'), /refused the credentials/, /same secret/],
  ['TURN unreachable', broken('TURN unreachable'), /does not answer/, /See that it runs/],
  ['blocked', broken('blocked'), /no packet passes/, /UDP.*443/],
  ['no candidates', broken('no candidates'), /No address was found/, /on a network/],
  ['no answer', broken('no answer'), /does not answer/, /closed, frozen/],
  ['refused', broken('refused'), /not in order/, /tried again/],
  ['superseded', broken('broke', 'Superseded: 3f20'), /took the place/, /Nothing/],
  ['superseded', broken('broke', 'another attempt took its place'), /took the place/, /Nothing/],
  ['broke', broken('broke', 'the way to the peer was lost'), /broke/, /made again/],
  ['silent', broken('broke', 'the page was frozen; own candidates: host'), /fell silent/, /looked at/],
  ['silent', broken('broke', 'Silent: 3f20'), /fell silent/, /looked at/],
  ['unsupported', broken('unsupported'), /does not offer WebRTC/, /another browser/],
  ['unable', 'unable', /takes part in no mesh/, /the server connects you/],
  ['full', 'full', /as many direct connections/, /neighbours/],
  ['gave up', 'gave up', /stopped trying/, /tried again/],
]

describe('what is wrong with a path', () => {
  it.each(rows)('%s: %o', (kind, failure, sentence, advice) => {
    const diagnosis = diagnose({ kind: 'none', failure })
    expect(diagnosis).toEqual({
      kind,
      sentence: expect.stringMatching(sentence),
      advice: expect.stringMatching(advice),
    })
    // While it is tried again, the last failure is still what is known.
    expect(diagnose({ kind: 'connecting', failure })).toEqual(diagnosis)
  })

  it('is nothing while there is a channel, and while nothing went wrong', () => {
    for (const kind of ['direct', 'relayed'] as const)
      expect(diagnose({ kind, failure: broken('blocked') })).toBeUndefined()
    for (const kind of ['connecting', 'none'] as const) expect(diagnose({ kind, failure: undefined })).toBeUndefined()
  })

  it('is, of a status, whether the word of the server is old', () => {
    expect(diagnose({ authStale: undefined })).toBeUndefined()
    expect(diagnose({ authStale: { heard: 1, from: undefined } })).toMatchObject({ kind: 'stale' })
  })

  it('reads a cause out of the words of the platform only where the channel broke', () => {
    expect(diagnose({ kind: 'none', failure: broken('blocked', 'silent') })?.kind).toBe('blocked')
  })
})
