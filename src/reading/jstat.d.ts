/** The part of jStat that is used here. */
declare module 'jstat' {
  interface Distribution {
    /** The quantile of probability `p`. */
    inv(p: number, degreesOfFreedom: number): number;
    cdf(x: number, degreesOfFreedom: number): number;
  }
  interface Beta {
    /** The quantile of probability `p`. */
    inv(p: number, alpha: number, beta: number): number;
  }
  export interface JStat {
    readonly studentt: Distribution;
    readonly beta: Beta;
  }
}
