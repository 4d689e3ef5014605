/** What every implementation of the `KeyStore` port promises. It imports nothing of a platform. */
import type { KeyStore, Runtime } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'

/** `reopen` gives the store that a later opening would: the same one where nothing outlasts it. */
export const keysContract = (
  name: string,
  runtime: Runtime,
  make: () => { keys: KeyStore; reopen: () => KeyStore },
): void => {
  describe(`keys: ${name}`, () => {
    test('a key that was never saved is undefined, and removing it is no error', async () => {
      const { keys } = make()
      expect(await keys.load('absent')).toBeUndefined()
      await keys.remove('absent')
    })

    test('a saved key signs after the next opening', async () => {
      const { keys, reopen } = make()
      const made = await runtime.generateKey()
      await keys.save('session', made)
      const loaded = await reopen().load('session')
      const message = new Uint8Array([1, 2, 3])
      expect(loaded?.publicKey).toEqual(made.publicKey)
      const signature = (await loaded?.sign(message)) ?? new Uint8Array(0)
      expect(await runtime.verify(made.publicKey, message, signature)).toBe(true)
      // A key that was loaded can be saved again.
      if (loaded !== undefined) await reopen().save('copy', loaded)
      expect((await reopen().load('copy'))?.publicKey).toEqual(made.publicKey)
    })

    test('names are apart, the last saved stays, and what is removed is gone', async () => {
      const { keys, reopen } = make()
      const [one, two] = [await runtime.generateKey(), await runtime.generateKey()]
      await keys.save('one', one)
      await keys.save('two', one)
      await keys.save('two', two)
      await keys.remove('one')
      expect(await reopen().load('one')).toBeUndefined()
      expect((await reopen().load('two'))?.publicKey).toEqual(two.publicKey)
    })
  })
}
