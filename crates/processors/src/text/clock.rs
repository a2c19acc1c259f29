//! Dates for chat templates that ask for today's.
//!
//! What it is: the directives of C's `strftime` that published templates use, in UTC. What it is not: a clock; the
//! moment is given. Days are counted as in Howard Hinnant, "chrono-compatible low-level date algorithms".

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `unix_seconds` written as `format` asks, or the directive that is not known.
pub fn strftime(unix_seconds: u64, format: &str) -> Result<String, String> {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = date(days);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let twelve = (hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(char) = rest.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut directive = rest.next();
        let bare = directive == Some('-');
        if bare {
            directive = rest.next();
        }
        let two = |n: u64| if bare { n.to_string() } else { format!("{n:02}") };
        out.push_str(&match directive {
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('d') => two(day),
            Some('e') => format!("{day:2}"),
            Some('F') => format!("{year:04}-{month:02}-{day:02}"),
            Some('H') => two(hour),
            Some('I') => two(twelve),
            Some('j') => format!("{:03}", days - days_before(year) + 1),
            Some('M') => two(minute),
            Some('m') => two(month),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('S') => two(second),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Y') => year.to_string(),
            Some('y') => two(year % 100),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('%') => "%".to_owned(),
            other => return Err(other.map_or("%".to_owned(), |c| format!("%{c}"))),
        });
    }
    Ok(out)
}

/// Year, month from 1 and day from 1 of a number of days since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to the first day of a year.
fn days_before(year: u64) -> u64 {
    let y = year - 1;
    365 * y + y / 4 - y / 100 + y / 400 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (moment, format, want) in [
            (0, "%Y-%m-%d %H:%M:%S %A", "1970-01-01 00:00:00 Thursday"),
            (951_782_400, "%d %b %Y, %j", "29 Feb 2000, 060"),
            (1_721_995_509, "%-d %B %y %I:%M %p, %a", "26 July 24 12:05 PM, Fri"),
            (4_107_542_399, "%F %T%%", "2100-02-28 23:59:59%"),
            (1_735_689_599, "%e. %j", "31. 366"),
        ] {
            assert_eq!(strftime(moment, format).unwrap(), want);
        }
        assert_eq!(strftime(0, "%Q"), Err("%Q".into()));
        assert_eq!(strftime(0, "%"), Err("%".into()));
    }
}
