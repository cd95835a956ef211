//! A stand-in for the exchange's archive: a generator of archives with every known quirk, and a server with faults
