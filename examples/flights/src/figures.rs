//! Running figures of flights: how many, how many cancelled, mean and maximum departure delay.

use std::fmt;

use tidegate::rkyv;

use crate::flight::Flight;

/// Counts and delays of the flights seen so far.
#[derive(Clone, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = tidegate::rkyv)]
pub(crate) struct Figures {
    flights: u64,
    cancelled: u64,
    /// The sum of the departure delays of the flights that left, in minutes.
    delay_sum: i64,
    delay_max: Option<i32>,
}

impl Figures {
    pub(crate) fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        match flight.delay_minutes {
            None => self.cancelled += 1,
            Some(delay) => {
                self.delay_sum += i64::from(delay);
                self.delay_max = self.delay_max.max(Some(delay));
            }
        }
    }
}

impl fmt::Display for Figures {
    /// `flights,cancelled,mean_delay,max_delay`; `NA` for the delays while none has left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},", self.flights, self.cancelled)?;
        match self.delay_max {
            None => f.write_str("NA,NA"),
            Some(max) => {
                let departed = i64::try_from(self.flights - self.cancelled).unwrap_or(i64::MAX);
                // Hundredths in whole numbers, so that no rounding mode has a say.
                let hundredths = self.delay_sum * 100 / departed;
                let sign = if hundredths < 0 { "-" } else { "" };
                let hundredths = hundredths.unsigned_abs();
                write!(f, "{sign}{}.{:02},{max}", hundredths / 100, hundredths % 100)
            }
        }
    }
}

#[test]
fn figures_are_printed_as_documented() {
    let flight = |delay_minutes| Flight {
        origin: "EWR".to_owned(),
        carrier: "UA".to_owned(),
        scheduled_ms: 0,
        delay_minutes,
    };
    let mut figures = Figures::default();
    figures.add(&flight(None));
    assert_eq!(figures.to_string(), "1,1,NA,NA");
    figures.add(&flight(Some(-5)));
    figures.add(&flight(Some(2)));
    assert_eq!(figures.to_string(), "3,1,-1.50,2");
}
