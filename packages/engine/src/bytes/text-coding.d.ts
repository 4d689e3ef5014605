/**
 * The two universal constructors that the pure folders use beyond ES2023. Every runtime has them; no library file of
 * TypeScript has only them.
 */
interface TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>
}

interface TextDecoder {
  decode(bytes: Uint8Array): string
}

declare var TextEncoder: new () => TextEncoder
declare var TextDecoder: new (label: string, options: { fatal: boolean; ignoreBOM: boolean }) => TextDecoder
