/** The part of Vega that is used here. */
declare module 'vega' {
  export interface Runtime {
    readonly signals: readonly unknown[];
  }
  export function parse(spec: object): Runtime;
  export class View {
    constructor(runtime: Runtime, options: { readonly renderer: 'none' });
    toSVG(): Promise<string>;
    finalize(): this;
  }
}
