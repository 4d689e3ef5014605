/**
 * What can be encoded: numbers are finite and not -0, texts have no lone surrogates, maps are sorted by the encoder.
 */
export type Plain = null | boolean | number | string | Uint8Array | readonly Plain[] | ReadonlyMap<string, Plain>
