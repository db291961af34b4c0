/** The part of jStat that is used here. */
declare module 'jstat' {
  interface Distribution {
    /** The quantile of probability `p`. */
    inv(p: number, degreesOfFreedom: number): number;
    cdf(x: number, degreesOfFreedom: number): number;
  }
  export interface JStat {
    readonly studentt: Distribution;
  }
}
