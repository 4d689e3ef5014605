import type { KeyStore, SigningKey } from '@weft-db/engine'

/** A key store that forgets: for tests, and for devices without storage. */
export const memoryKeys = (): KeyStore => {
  const keys = new Map<string, SigningKey>()
  return {
    load: async (name) => keys.get(name),
    save: async (name, key) => void keys.set(name, key),
    remove: async (name) => void keys.delete(name),
  }
}
